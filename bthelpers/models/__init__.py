"""Pretrained models of speech and of text, loaded, run and described.

Begin with `speech.SpeechEncoder`. Imports `core` and `params`.
"""
