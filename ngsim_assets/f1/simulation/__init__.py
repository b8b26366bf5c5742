"""Sessions that never took place, in the wire format of those that did.

Face: `f1/simulate.py`.
"""
