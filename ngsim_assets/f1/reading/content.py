"""The content of one message: JSON, a Python literal, or a compressed one of either.

Belongs here: what all feeds share once a line is taken apart. Does not belong here: how a line
is taken apart.
"""

from __future__ import annotations

import ast
from typing import cast

from pydantic_core import from_json

from ngsim_assets.f1.formats import COMPRESSED, TOPICS, Json
from ngsim_assets.f1.reading.compressed import DamagedCompression, InflatesTooFar, inflate
from ngsim_assets.f1.reading.messages import Reason

_BOM = b"\xef\xbb\xbf"
LARGEST_LINE = 16 * 1024 * 1024
"""Characters of a line; a real one has up to some 100 kB."""
LARGEST_LITERAL = 1024 * 1024
"""Characters of a Python literal: its parser takes a thousand times as much memory."""

_LONGEST_KEPT = 1024 * 1024  # of a line that is set aside; ten times a real one
_SHOWN = 1_000


class Unusable(ValueError):
    """A line or message that is set aside: the reason, and what exactly is wrong."""

    def __init__(self, reason: Reason, detail: str, topic: str = "") -> None:
        self.reason: Reason = reason
        self.detail = detail
        self.topic = topic
        super().__init__(f"{reason}: {detail}")


def kept(line: bytes) -> str:
    """A line that is set aside, as text; of one that no feed would send, its beginning."""
    line = line[:_SHOWN] if len(line) > _LONGEST_KEPT else line
    return line.decode("utf-8", errors="backslashreplace")


def read_json(text: str | bytes) -> Json:
    """JSON as Python values, a byte order mark before it or not; Unusable if it is none."""
    try:
        return cast("Json", from_json(text.removeprefix(_BOM) if isinstance(text, bytes) else text))
    except (ValueError, RecursionError) as error:
        raise Unusable("damaged_json", str(error)) from None


def read_literal(text: str) -> Json:
    """A Python literal, or JSON, as values; nothing is ever evaluated. Unusable otherwise."""
    try:
        return cast("Json", from_json(text))
    except (ValueError, RecursionError):
        pass
    if len(text) > LARGEST_LITERAL:
        raise Unusable("too_large", f"no JSON, and {len(text):,} characters of anything else")
    try:
        return _as_json(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise Unusable("damaged_json", str(error) or type(error).__name__) from None


def _as_json(value: object) -> Json:
    """`value` if JSON could say it too; ValueError or TypeError for sets, bytes, half characters.

    Python literals can be more than feeds ever are, and what is none of JSON breaks whatever
    reads it later.
    """
    if isinstance(value, str):
        value.encode()
        return value
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list):
        return [_as_json(item) for item in cast("list[object]", value)]
    if isinstance(value, dict):
        told = cast("dict[object, object]", value)
        if not all(isinstance(key, str) for key in told):
            raise TypeError("a key that is no text")
        return {str(_as_json(key)): _as_json(item) for key, item in told.items()}
    raise TypeError(f"a {type(value).__name__} in it")


def payload_of(topic: str, delivered: Json) -> Json:
    """What a message of `topic` says; Unusable if the topic is unknown or it says nothing.

    Of a compressed topic that is its JSON as text: these are so many that telemetry/ reads
    hundreds at a time, ten times as fast as one by one.
    """
    if topic not in TOPICS:
        raise Unusable("unknown_topic", f"no topic {topic!r}", topic)
    if topic.endswith(COMPRESSED):
        if not isinstance(delivered, str):
            raise Unusable("damaged_compression", "is no text", topic)
        try:
            return _text_of(topic, inflate(delivered))
        except DamagedCompression as error:
            raise Unusable("damaged_compression", str(error), topic) from None
        except InflatesTooFar as error:
            raise Unusable("too_large", str(error), topic) from None
    return _told(topic, delivered)


def _text_of(topic: str, inflated: bytes) -> str:
    try:
        text = inflated.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unusable("damaged_json", str(error), topic) from None
    if text.strip() in ("", "{}", "null"):
        raise Unusable("empty_message", "says nothing", topic)
    if not (text.startswith("{") and text.endswith("}")):
        raise Unusable("damaged_json", f"begins with {text[:12]!r}", topic)
    return text


def _told(topic: str, payload: Json) -> Json:
    if payload is None or payload in ({}, ""):
        raise Unusable("empty_message", "says nothing", topic)
    if not isinstance(payload, dict | list):
        raise Unusable("not_a_message", f"is a {type(payload).__name__}", topic)
    return payload
