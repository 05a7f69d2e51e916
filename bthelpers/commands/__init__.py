"""Commands of the command line: functions below their arguments.

May import all packages; what is slow to import, as all that brings PyTorch, is imported where it is
used.
"""
