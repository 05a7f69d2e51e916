"""A dataset on disk, in the layout of OpenNeuro ds003020, downloaded, read and checked.

Begin with `dataset.Dataset`. Imports `core` and `params`.
"""
