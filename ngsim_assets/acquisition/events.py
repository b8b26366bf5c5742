"""What happens while sources are ingested, as values, and who is told.

Belongs here: the events and the protocol of an observer. Does not belong here: what any observer
makes of them (observers/).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from ngsim_assets.acquisition.sources import Artifact, Resource

if TYPE_CHECKING:
    from ngsim_assets.acquisition.results import IngestionResult, Outcome


@dataclass(frozen=True, slots=True)
class SourceStarted:
    """A source is being asked what it has."""

    source: str


@dataclass(frozen=True, slots=True)
class ResourceStarted:
    """Bytes of a resource are about to be asked for.

    Attributes:
        part: what of it, for people: a file name, `vehicles 1 to 250`. total: bytes, None if not
            known. resumed_from: bytes that an earlier attempt had already.
    """

    resource: Resource
    part: str
    total: int | None = None
    resumed_from: int = 0


@dataclass(frozen=True, slots=True)
class BytesReceived:
    """Bytes of a part have arrived; told a few times a second at most, and when it is complete."""

    resource: Resource
    part: str
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Retrying:
    """An attempt failed and another one follows: attempt number `attempt` in `wait` seconds."""

    resource: Resource
    attempt: int
    wait: float
    reason: str


@dataclass(frozen=True, slots=True)
class BreakerChanged:
    """The circuit breaker of a host changed its state; `retry_in` seconds until a probe."""

    host: str
    state: Literal["closed", "open", "half_open"]
    retry_in: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Degraded:
    """A resource could not be had, and the copy fetched earlier is used in its place."""

    resource: Resource
    reason: str
    copies: tuple[Artifact, ...]


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that does not stop a resource, and that somebody should know."""

    resource: Resource
    text: str


@dataclass(frozen=True, slots=True)
class ArtifactStored:
    """A file is complete, checked and in its place. `seconds`: from the first request of it."""

    artifact: Artifact
    seconds: float


@dataclass(frozen=True, slots=True)
class ResourceFinished:
    """A resource is done, however it ended."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class SourceFinished:
    """A source is done, however it ended."""

    result: IngestionResult


Event = (
    SourceStarted
    | ResourceStarted
    | BytesReceived
    | Retrying
    | BreakerChanged
    | Degraded
    | Warned
    | ArtifactStored
    | ResourceFinished
    | SourceFinished
)


class Observer(Protocol):
    """Is told of every event, in order. One that raises is dropped, and the work goes on."""

    async def notice(self, event: Event) -> None:
        """Take note of `event`; returns soon, since the work waits for it."""
        ...
