"""The Formula 1 domain: feeds of a session in, laps, weather, status and messages out.

Belongs here: nothing but this sentence. Same floor plan as the highway domain, of which it
imports nothing.
"""
