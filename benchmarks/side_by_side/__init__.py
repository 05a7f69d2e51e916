"""What this library computes, beside others that compute the same, in one run (`make bench`).

Each module of a study makes comparisons of growing size; `measuring` runs them, and the record goes
to `bthelpers.results.benchmarks`, from which a page of the book is drawn.
"""
