"""From bytes to batches: archives, layouts told from content, decimal text to integers.

Face: `highway/source.py`.
"""
