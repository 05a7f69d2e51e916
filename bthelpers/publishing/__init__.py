"""What readers and other programs take away: captions, cards, notebooks and the PDF of the book;
tables, brain images, metadata, and models on the hub.

Imports `results`, `models` and what lies below them. Nothing here computes a result.
"""
