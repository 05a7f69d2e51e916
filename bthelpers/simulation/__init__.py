"""Made-up data in the real layouts, and miniatures of the real models.

Imports `tasks` and what lies below; only run notebooks, chapters, tests, benchmarks and the
command line import it.
"""
