"""Parameters of recordings of sensors. Imports modules of `bthelpers.params` and below."""
