"""Compressed topics: base64 of raw deflate, never more than a bound.

Belongs here: inflating and deflating one message. Does not belong here: what is inside.
"""

from __future__ import annotations

import base64
import binascii
import zlib

_RAW_DEFLATE = -15
LARGEST = 4 * 1024 * 1024
"""Bytes a message may inflate to; a real one has some 10 kB."""
_DENSEST, _SMALL = 64, 4_096
"""Bytes a packed byte may become, and what is granted beside: real ones become up to 25. A feed of
many small bombs takes no more memory than it may be expected to."""


class DamagedCompression(ValueError):
    """Base64 or deflate that is broken, or ends too early."""


class InflatesTooFar(ValueError):
    """More content than the bound allows."""


def inflate(content: str, largest: int = LARGEST) -> bytes:
    """The bytes inside a compressed message.

    Raises:
        DamagedCompression: it is not base64 of a whole raw deflate stream.
        InflatesTooFar: it holds more than `largest` bytes, or far more than was packed; no more
            than that are ever made.
    """
    try:
        packed = base64.b64decode(content, validate=True)
        engine = zlib.decompressobj(_RAW_DEFLATE)
        bound = min(largest, _DENSEST * len(packed) + _SMALL)
        unpacked = engine.decompress(packed, bound + 1)
    except (binascii.Error, ValueError, zlib.error) as error:
        raise DamagedCompression(str(error)) from None
    if len(unpacked) > bound:
        raise InflatesTooFar(f"more than {bound:,} bytes out of {len(packed):,}")
    if not engine.eof:
        raise DamagedCompression("the stream ends too early")
    return unpacked


def deflate(content: bytes) -> str:
    """`content` as a compressed topic carries it."""
    engine = zlib.compressobj(wbits=_RAW_DEFLATE)
    return base64.b64encode(engine.compress(content) + engine.flush()).decode("ascii")
