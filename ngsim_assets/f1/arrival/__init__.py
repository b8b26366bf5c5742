"""From files that were delivered to the messages of one session, each once.

Belongs here: helpers of delivered.py.
"""
