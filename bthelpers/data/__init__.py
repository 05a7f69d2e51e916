"""A dataset on disk, in the layout of OpenNeuro ds003020, downloaded, read and checked.

Imports `core` and `params`.
"""
