"""The pictures of a session, a file each. Face: `f1/plots.py`."""
