"""Benchmarks that were recorded: how fast this library is beside others (`make bench`)."""
