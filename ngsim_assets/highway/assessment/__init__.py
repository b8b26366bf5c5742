"""What is measured of a recording, how each figure is defined and held against what.

Faces: `highway/assess.py`, `highway/report.py`.
"""
