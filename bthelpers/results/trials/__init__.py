"""Trials that were recorded: faults of runs (`make faults`), damaged files (`make fuzz`)."""
