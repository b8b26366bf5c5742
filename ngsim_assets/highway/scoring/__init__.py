"""How far what comes out lies from a truth that is known.

Face: `highway/score.py`.
"""
