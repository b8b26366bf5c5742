"""Filters and kernels that make motion of noisy positions. Face: `highway/clean.py`."""
