"""Figures of recordings of sensors."""
