"""Maps to explore: voxel values on the flattened cortex, in a notebook or in a page without kernel.

May import figures, results and below. JavaScript draws; what it draws is made here.
"""
