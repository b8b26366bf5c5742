"""Car data and positions: payloads to columns, codes to nulls, buffers for streams, resampling.

Nothing here knows where a payload came from or where a frame goes to.
"""
