"""What cells of traffic state say together: waves and the fundamental diagram.

Depends on the table traffic_state only; the sums themselves are traffic.py's and edie.py's.
"""
