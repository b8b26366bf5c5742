"""How the ingestion of a source ended, as a value.

Belongs here: outcomes of resources, what they make of their source, how that is told to people and
machines. Does not belong here: how it came to it (pipeline.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ngsim_assets.acquisition.sources import Artifact, Resource
from ngsim_assets.errors import NgsimAssetsError

ResourceStatus = Literal["fetched", "unchanged", "cached", "failed", "cancelled"]
Status = Literal["fetched", "unchanged", "cached", "partial", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one resource ended.

    Attributes:
        status: `fetched`; `unchanged`: what is held is what there is; `cached`: it could not be
            had, what was fetched earlier is used; `failed`; `cancelled`.
        artifacts: its files, of this or an earlier time; none if failed or cancelled.
        received: bytes over the network. attempts: at requests that were tried again, the first
            one included; 1 where none was.
        describe_seconds, fetch_seconds: that it took. error: why it is cached, failed or cancelled.
    """

    resource: Resource
    status: ResourceStatus
    artifacts: tuple[Artifact, ...] = ()
    received: int = 0
    attempts: int = 1
    describe_seconds: float = 0.0
    fetch_seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    error: NgsimAssetsError | None = None

    @property
    def seconds(self) -> float:
        """That the resource took, waiting for its turn not included."""
        return self.describe_seconds + self.fetch_seconds

    def summary(self) -> dict[str, object]:
        """For machines."""
        return {
            "key": self.resource.key,
            "status": self.status,
            "bytes": self.received,
            "attempts": self.attempts,
            "seconds": round(self.seconds, 3),
            "artifacts": [_artifact(artifact) for artifact in self.artifacts],
            "warnings": list(self.warnings),
            "error": None if self.error is None else _error(self.error),
        }


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds. `describe` and `fetch` are sums over resources, many of which run at once."""

    discover: float = 0.0
    describe: float = 0.0
    fetch: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class IngestionResult:
    """How one source ended.

    Attributes:
        outcomes: of its resources, in the order they were discovered.
        discover_seconds, total_seconds: by the clock.
        source_warnings, source_error: of the source as a whole, such as discovery that failed.
        was_cancelled: some of it was not done since nobody wants it any more.
    """

    source: str
    outcomes: tuple[Outcome, ...] = ()
    discover_seconds: float = 0.0
    total_seconds: float = 0.0
    source_warnings: tuple[str, ...] = ()
    source_error: NgsimAssetsError | None = None
    was_cancelled: bool = False

    @property
    def status(self) -> Status:
        """One word for all of it.

        `cancelled` before everything else; `failed`: nothing could be had; `partial`: something;
        `cached`: all is there, some of it as fetched earlier; `fetched`: anything new came;
        `unchanged`: nothing new was there.
        """
        ways = {outcome.status for outcome in self.outcomes}
        if self.was_cancelled or "cancelled" in ways:
            return "cancelled"
        if ways == {"failed"} or (self.source_error is not None and not ways):
            return "failed"
        if "failed" in ways or (self.source_error is not None and ways != {"cached"}):
            return "partial"
        if "cached" in ways:
            return "cached"
        return "fetched" if "fetched" in ways else "unchanged"

    @property
    def bytes(self) -> int:
        """Received over the network."""
        return sum(outcome.received for outcome in self.outcomes)

    @property
    def rows(self) -> int:
        """Of data in what was fetched now, as far as it was counted."""
        return sum(
            artifact.rows or 0
            for outcome in self.outcomes
            if outcome.status == "fetched"
            for artifact in outcome.artifacts
        )

    @property
    def attempts(self) -> int:
        """Of all resources."""
        return sum(outcome.attempts for outcome in self.outcomes)

    @property
    def durations(self) -> Durations:
        """Where the time went."""
        return Durations(
            self.discover_seconds,
            sum(outcome.describe_seconds for outcome in self.outcomes),
            sum(outcome.fetch_seconds for outcome in self.outcomes),
            self.total_seconds,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What somebody should know, with the resource it is of."""
        return (
            *self.source_warnings,
            *(
                f"{outcome.resource.key}: {text}"
                for outcome in self.outcomes
                for text in outcome.warnings
            ),
        )

    @property
    def errors(self) -> tuple[NgsimAssetsError, ...]:
        """Why resources are cached or failed; an unexpected one is the cause of a SourceFault."""
        found = (self.source_error, *(outcome.error for outcome in self.outcomes))
        return tuple(error for error in found if error is not None)

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """All files there are now, also those of an earlier time."""
        return tuple(artifact for outcome in self.outcomes for artifact in outcome.artifacts)

    def summary(self) -> dict[str, object]:
        """For machines."""
        durations = self.durations
        return {
            "source": self.source,
            "status": self.status,
            "bytes": self.bytes,
            "rows": self.rows,
            "attempts": self.attempts,
            "durations": {
                name: round(getattr(durations, name), 3)
                for name in ("discover", "describe", "fetch", "total")
            },
            "warnings": list(self.warnings),
            "errors": [_error(error) for error in self.errors],
            "resources": [outcome.summary() for outcome in self.outcomes],
        }

    def sentence(self) -> str:
        """For people, one line."""
        counts = [
            f"{count} {status}"
            for status in ("fetched", "unchanged", "cached", "failed", "cancelled")
            if (count := sum(outcome.status == status for outcome in self.outcomes))
        ]
        told = [", ".join(counts) or "nothing to fetch"]
        if self.bytes:
            told.append(f"{shown_bytes(self.bytes)} received in {self.total_seconds:.1f} s")
        if self.rows:
            told.append(f"{self.rows:,} rows")
        if repeated := self.attempts - len(self.outcomes):
            told.append(f"{repeated} tried again")
        if self.source_error is not None:
            told.append(self.source_error.problem)
        return f"{self.source}: {self.status} ({'; '.join(told)})"


def shown_bytes(size: float) -> str:
    """`size` for people, in units of a thousand."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"


def _artifact(artifact: Artifact) -> dict[str, object]:
    return {
        "name": artifact.name,
        "path": str(artifact.path),
        "sha256": artifact.sha256,
        "bytes": artifact.bytes,
        "rows": artifact.rows,
        "url": artifact.url,
        "fetched_at": artifact.fetched_at.isoformat(timespec="seconds"),
        "version": artifact.version,
        "schema_version": artifact.schema_version,
    }


def _error(error: NgsimAssetsError) -> dict[str, object]:
    return {"type": type(error).__name__, "problem": error.problem, "fix": error.fix}
