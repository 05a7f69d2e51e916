"""Training speech models on responses, on other models, and on sound.

Imports `data`, `models` and what lies below them; never `encoding`.
"""
