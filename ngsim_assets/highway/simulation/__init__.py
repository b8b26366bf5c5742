"""Traffic whose truth is known, the errors of its recording, and the files it comes in.

Face: `highway/simulate.py`.
"""
