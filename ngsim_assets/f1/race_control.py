"""Messages of race control as rows, and what they say of deleted laps.

Belongs here: the fields and the wording of race control's messages on lap times. Does not belong
here: what they say of neutralisations (neutralisations/).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from ngsim_assets.f1.formats import Json, duration, text, whole
from ngsim_assets.f1.origin import Origin, Row
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.reading.recordings import utc
from ngsim_assets.f1.timing.folding import at, elements

_CAR = re.compile(r"CAR (\d{1,2}) \(\w{2,4}\) (?:LAP )?(.*)", re.ASCII)
_TIME = re.compile(r"TIME (\d{1,2}:\d\d\.\d{3})", re.ASCII)
_LAP = re.compile(r"\bLAP (\d{1,3})\b", re.ASCII)
_CLOCK = re.compile(r"\s*\b\d\d:\d\d:\d\d\b", re.ASCII)
_DELETED = re.compile(r"\bDELETED\b(?: - (.*))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Deletion:
    """What race control did to a lap.

    Attributes:
        car: number of the car.
        action: deleted, or reinstated after it was.
        lap_time: ms, None if the message names no time. lap: number, None if it names none.
        reason: `TRACK LIMITS AT TURN 12`.
    """

    car: int
    action: Literal["deleted", "reinstated"]
    lap_time: int | None
    lap: int | None
    reason: str | None


def messages(origin: Origin, state: Json, message: Message) -> Iterator[Row]:
    """The rows of a RaceControlMessages message, one for each that it told or changed.

    Args:
        state: all that was told by then, this message included.
    """
    for position, told in elements(at(message.payload, "Messages")):
        item = at(state, "Messages", str(position))
        yield _row(origin, told if item is None else item, message, position)


def openf1_message(origin: Origin, message: Message) -> Row:
    """The row of one row of OpenF1's `race_control`, numbered by its place."""
    told = message.payload
    return {
        **origin.of(message),
        "number": message.line - 1,
        "lap": whole(at(told, "lap_number")),
        "category": text(at(told, "category")),
        "flag": text(at(told, "flag")),
        "scope": text(at(told, "scope")),
        "sector": whole(at(told, "sector")),
        "driver_number": whole(at(told, "driver_number")),
        "message": text(at(told, "message")),
        "simulated": origin.simulated,
        "flags": [],
    }


def deletions(texts: Iterable[str]) -> list[Deletion]:
    """What messages, in their order, say of lap times.

    `CAR 47 (MSC) TIME 1:21.524 DELETED - TRACK LIMITS AT TURN 12`, since 2024 with the lap:
    `... AT TURN 3 LAP 3 17:09:26`, and `CAR 12 (ANT) LAP DELETED - ...` where there is no time.
    """
    return [found for told in texts if (found := _deletion(told)) is not None]


def _deletion(told: str) -> Deletion | None:
    car = _CAR.match(told)
    if car is None:
        return None
    what = car[2]
    deleted = _DELETED.search(what)
    action: Literal["deleted", "reinstated"] = "reinstated" if "REINSTATED" in what else "deleted"
    if deleted is None and action == "deleted":
        return None
    time = _TIME.search(what)
    lap = _LAP.search(what)
    reason = _CLOCK.sub("", deleted[1]).strip() if deleted and deleted[1] else None
    return Deletion(
        car=int(car[1]),
        action=action,
        lap_time=duration(time[1]) if time else None,
        lap=int(lap[1]) if lap else None,
        reason=reason or None,
    )


def _row(origin: Origin, told: Json, message: Message, position: int) -> Row:
    moment = at(told, "Utc")
    return {
        **origin.of(message),
        # race control's own time is to the second; when the feed told it is finer
        "timestamp": message.utc or (utc(moment) if isinstance(moment, str) else None),
        "number": position,
        "lap": whole(at(told, "Lap")),
        "category": text(at(told, "Category")),
        "flag": text(at(told, "Flag")),
        "scope": text(at(told, "Scope")),
        "sector": whole(at(told, "Sector")),
        "status": text(at(told, "Status")),
        "mode": text(at(told, "Mode")),
        "driver_number": whole(at(told, "RacingNumber")),
        "message": text(at(told, "Message")),
        "simulated": origin.simulated,
        "flags": [],
    }
