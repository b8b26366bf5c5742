"""Bytes in: the landing zone, and what has arrived in it."""
