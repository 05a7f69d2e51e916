"""Brain-tuning of speech models: the helper library of the executable paper."""
