"""Sessions while they go on: received, written down, folded by five ingestors, kept in tables.

The recording is the truth: a message is on its way to it before anybody else sees it. Everything
else is made of it, anew after a stop, a kill or the failure of an ingestor.
"""
