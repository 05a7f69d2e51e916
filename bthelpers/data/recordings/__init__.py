"""Recordings of sensors, such as EEG: BIDS folders, read as datasets whose voxels are electrodes.

Imports modules of `bthelpers.data` and below; these do not import it.
"""
