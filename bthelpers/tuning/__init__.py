"""Training speech models on responses, on other models, and on sound.

Begin with `brain_tuning.brain_tune`. Imports `data`, `models` and what lies below them; never
`encoding`.
"""
