"""What rules need to know of a row and its neighbours, and the rules themselves.

Face: `highway/validate.py`.
"""
