"""Events as sentences for people.

Belongs here: what is said, and how loudly. Does not belong here: where it is said.
"""

from __future__ import annotations

from typing import Literal

from ngsim_assets.acquisition.events import (
    ArtifactStored,
    BreakerChanged,
    Degraded,
    Event,
    ResourceFinished,
    ResourceStarted,
    Retrying,
    SourceFinished,
    Warned,
)
from ngsim_assets.acquisition.results import Status, shown_bytes
from ngsim_assets.acquisition.sources import Resource

Level = Literal["info", "warning", "error"]

LOUDNESS: dict[Status, Level] = {
    "fetched": "info",
    "unchanged": "info",
    "cached": "warning",
    "partial": "error",
    "failed": "error",
    "cancelled": "warning",
}
"""How loudly the end of a source is told."""

SMALL = 1_000_000
"""Bytes below which the beginning of a file is not worth a line: there may be thousands of them."""


def sentence(event: Event) -> tuple[Level, str] | None:  # noqa: PLR0911 - one per kind of event
    """What `event` says; None where people need not know."""
    match event:
        case ResourceStarted():
            size = "" if event.total is None else f", {shown_bytes(event.total)}"
            on = f", goes on at {shown_bytes(event.resumed_from)}" if event.resumed_from else ""
            return "info", f"{named(event.resource)}: {event.part}{size}{on}"
        case Retrying():
            again = f"attempt {event.attempt} in {event.wait:.1f} s"
            return "warning", f"{named(event.resource)}: {again}: {event.reason}"
        case BreakerChanged(state="open"):
            wait = f"{event.host} is left alone for {event.retry_in:.0f} s"
            return "warning", f"{wait}: {event.reason}" if event.reason else wait
        case BreakerChanged(state="closed"):
            return "info", f"{event.host} answers again"
        case Degraded():
            times = sorted({f"{copy.fetched_at:%Y-%m-%d %H:%M}" for copy in event.copies})
            copy = f"the copy of {' and '.join(times)} UTC is used"
            return "warning", f"{named(event.resource)}: {event.reason}; {copy}"
        case Warned():
            return "warning", f"{named(event.resource)}: {event.text}"
        case ArtifactStored(artifact=artifact):
            size = f"{shown_bytes(artifact.bytes)} in {event.seconds:.1f} s"
            return "info", f"{named(artifact.resource)}: {artifact.name} is complete, {size}"
        case ResourceFinished(outcome=outcome) if outcome.status == "failed":
            return "error", f"{named(outcome.resource)}: {outcome.error}"
        case SourceFinished(result=result):
            return LOUDNESS[result.status], result.sentence()
        case _:
            return None


def named(resource: Resource) -> str:
    """`resource` for people."""
    return f"{resource.source} {resource.key}".strip()
