"""Simulated participants whose electrodes are recorded, in the layout of BIDS-EEG.

Imports modules of `bthelpers.simulation` and below; these do not import it.
"""
