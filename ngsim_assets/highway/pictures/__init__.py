"""How the pictures of a report are drawn. Face: `highway/plots.py`."""
