"""What is asked of every layer beside its alignment: similarity, dimension, and controls.

A subpackage, since none of it is needed to align a model. Imports `encoding` and what lies below.
"""
