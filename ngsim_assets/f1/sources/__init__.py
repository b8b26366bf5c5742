"""Where the feeds of Formula 1 come from: five ingestors, each of a real or a simulated place.

Belongs here: which sessions there are, which files of each are fetched, and how each service wants
to be asked. Does not belong here: requests, retries and keeping (acquisition/), what files say
(reading/, timing/, telemetry/), tables.
"""
