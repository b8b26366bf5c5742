"""Safety car, virtual safety car and red flag: phases from status, from messages, from lap times.

`table.py` puts the three together; each can be had alone.
"""
