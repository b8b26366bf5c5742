"""The status of the track and of the session, as rows.

Belongs here: what TrackStatus and SessionStatus say, and which codes were in force in a span of
time. Does not belong here: phases of neutralisation (neutralisations/).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ngsim_assets.f1.formats import Json, text, whole
from ngsim_assets.f1.origin import Origin, Row
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.timing.folding import at

GREEN: Final = frozenset({"1", "2"})
"""Codes under which cars race: clear, and yellow in a part of the track."""

StatusAt = tuple[int, str]
"""Session time in ms at which a code came into force, and the code."""


def track_status(origin: Origin, state: Json, message: Message) -> Row:
    """The row of a TrackStatus message; `state` is all that was told by then."""
    told = at(state, "Status")
    code = whole(told)
    return {
        **origin.of(message),
        "code": str(code) if code is not None else text(told),
        "message": text(at(state, "Message")),
        "simulated": origin.simulated,
        "flags": [],
    }


def session_status(origin: Origin, state: Json, message: Message) -> Row:
    """The row of a SessionStatus message."""
    return {**origin.of(message), "status": text(at(state, "Status"))}


def codes_between(statuses: Sequence[StatusAt], start: int, end: int) -> str:
    """Codes in force at any time from `start` to `end`, in the order they came, each once.

    A code is in force from its message to the next one, both included: what happens in that
    millisecond is under both.
    """
    codes: list[str] = []
    for position, (since, code) in enumerate(statuses):
        until = statuses[position + 1][0] if position + 1 < len(statuses) else None
        if since <= end and (until is None or until >= start) and code not in codes:
            codes.append(code)
    return "".join(codes)
