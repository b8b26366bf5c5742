"""What messages of race control say of neutralisations: changes, and reasons.

Belongs here: the wording of race control. Does not belong here: phases, the status.

Three traps: "CHEQUERED FLAG" contains "RED FLAG", "RED FLAG INCIDENT INVOLVING CAR 7" is told long
after the flag, and "SAFETY CAR IN THIS LAP" is an ending. Fields are trusted before the text, and
a text only as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ngsim_assets.f1.neutralisations.phases import (
    CLEAR,
    ENDING,
    IN_THIS_LAP,
    RED,
    SAFETY_CAR,
    VSC,
    Change,
    Moment,
    Phase,
)

BEFORE_MS, AFTER_MS = 90_000, 60_000
"""How long before and after its start a message may tell the reason of a phase."""

_CODES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(VIRTUAL SAFETY CAR|VSC) DEPLOYED"), VSC),
    (re.compile(r"(VIRTUAL SAFETY CAR|VSC) ENDING"), ENDING),
    (re.compile(r"SAFETY CAR DEPLOYED"), SAFETY_CAR),
    (re.compile(r"SAFETY CAR IN THIS LAP"), IN_THIS_LAP),
    (re.compile(r"RED FLAG"), RED),
    (re.compile(r"TRACK CLEAR"), CLEAR),
)
_OF_THE_CAR = (SAFETY_CAR, IN_THIS_LAP)


class _Reason(NamedTuple):
    cause: str
    wording: re.Pattern[str]


_REASONS = (
    _Reason("stopped_car", re.compile(r"\bCAR \d+ .*(STOPPED|STRANDED)")),
    _Reason("debris", re.compile(r"\bDEBRIS\b")),
    _Reason("barrier", re.compile(r"\b(BARRIER|TECPRO|FENCE)")),
    _Reason("weather", re.compile(r"\b(HEAVY RAIN|VISIBILITY|STANDING WATER|WEATHER CONDITIONS)")),
    _Reason("double_yellow", re.compile(r"^DOUBLE YELLOW")),
    _Reason("surface", re.compile(r"\b(SLIPPERY|OIL ON)")),
    _Reason("yellow", re.compile(r"^YELLOW")),
)
"""Reasons, the most telling first."""


@dataclass(frozen=True, slots=True)
class Told:
    """A message of race control, as far as it matters here.

    Attributes:
        flag, scope, status, mode: as delivered, None where a message has no such field.
    """

    at: Moment
    text: str
    flag: str | None = None
    scope: str | None = None
    status: str | None = None
    mode: str | None = None


def changes_of(messages: Iterable[Told]) -> list[Change]:
    """Changes of status that race control told."""
    return [
        Change(message.at, code) for message in messages if (code := _code(message)) is not None
    ]


def _code(message: Told) -> str | None:
    if message.flag == "RED":
        return RED
    if message.flag == "CLEAR":
        return CLEAR if message.scope == "Track" else None
    if message.flag is not None:
        return None
    if message.mode is not None and message.status is not None:
        deployed, ending = (VSC, ENDING) if message.mode.startswith("VIRTUAL") else _OF_THE_CAR
        told = {"DEPLOYED": deployed, "ENDING": ending, "IN THIS LAP": ending}
        return told.get(message.status)
    text = message.text.strip()
    return next((code for wording, code in _CODES if wording.fullmatch(text)), None)


def cause_of(phase: Phase, messages: Sequence[Told]) -> tuple[str | None, str | None]:
    """Cause of a phase and the messages that tell it, (None, None) if none does."""
    start = phase.start.ms
    around = [m for m in messages if start - BEFORE_MS <= m.at.ms <= start + AFTER_MS]
    for cause, wording in _REASONS:
        # flags of afterwards are of the neutralisation itself
        latest = start + (AFTER_MS if cause in ("stopped_car", "debris", "barrier") else 0)
        told = [m.text.strip() for m in around if m.at.ms <= latest and wording.search(m.text)]
        if told:
            return cause, "; ".join(dict.fromkeys(told))
    if phase.follows is not None:
        return "escalation", f"takes the place of a {phase.follows.replace('_', ' ')}"
    return None, None
