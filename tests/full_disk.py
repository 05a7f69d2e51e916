"""A disk that is full."""

import resource
from contextlib import contextmanager


@contextmanager
def largest_file(n_bytes):
    """A limit on the size of a file: writing beyond it fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
