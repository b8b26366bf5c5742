"""From a file to recordings in the landing zone, and back out of it in order.

Face: `highway/intake.py`.
"""
