"""Results along the layers: the stages of speech processing (Moussa and Toneva, 2025).

Where curves over layers have their place, representational similarity, and controls of alignment.
"""
