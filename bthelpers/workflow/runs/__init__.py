"""One run of the workflow: its execution, and the receipt that it leaves.

Imports `bthelpers.workflow.steps` and what lies below it.
"""
