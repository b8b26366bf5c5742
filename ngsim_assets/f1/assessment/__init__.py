"""What is measured of a session, how each figure is defined and held against what.

Faces: `f1/assess.py`, `f1/report.py`.
"""
