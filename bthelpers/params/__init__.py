"""Every parameter of a run, and nothing that computes.

`loading.load` reads a profile from YAML; `settings.Profile` is what it holds. Imports `core`.
"""
