"""Figures of the recorded benchmarks."""
