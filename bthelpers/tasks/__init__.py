"""What else a model can do: downstream probes, speech recognition, semantic–phonetic preference.

Imports `encoding`, `tuning` and what lies below them.
"""
