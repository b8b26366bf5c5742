"""Events as structured lines of this program's log.

Belongs here: which fields an event has. Does not belong here: how lines look, what is a secret
(observability/logs.py).
"""

from __future__ import annotations

from ngsim_assets.acquisition.events import (
    ArtifactStored,
    BreakerChanged,
    Degraded,
    Event,
    ResourceFinished,
    ResourceStarted,
    Retrying,
    SourceFinished,
    SourceStarted,
    Warned,
)
from ngsim_assets.acquisition.observers.sentences import LOUDNESS, SMALL
from ngsim_assets.acquisition.sources import Resource
from ngsim_assets.observability.logs import Log, get_logger


class LogObserver:
    """Logs every event but progress, with source, resource and labels as fields."""

    def __init__(self, log: Log | None = None) -> None:
        self._log = log or get_logger()

    async def notice(self, event: Event) -> None:
        """Log `event`."""
        log = self._log
        match event:
            case SourceStarted():
                log.info("source started", source=event.source)
            case ResourceStarted():
                # of a small file its end says enough, and there may be thousands of them
                tell = log.info if event.total is None or event.total >= SMALL else log.debug
                tell(
                    "download started",
                    **_of(event.resource),
                    part=event.part,
                    total=event.total,
                    resumed_from=event.resumed_from,
                )
            case Retrying():
                log.warning(
                    "trying again",
                    **_of(event.resource),
                    attempt=event.attempt,
                    wait=round(event.wait, 3),
                    reason=event.reason,
                )
            case BreakerChanged():
                tell = log.warning if event.state == "open" else log.info
                tell(
                    "breaker changed",
                    host=event.host,
                    state=event.state,
                    retry_in=round(event.retry_in, 3),
                    reason=event.reason,
                )
            case Degraded():
                copies = [copy.fetched_at.isoformat(timespec="seconds") for copy in event.copies]
                log.warning(
                    "earlier copy used",
                    **_of(event.resource),
                    reason=event.reason,
                    fetched_at=min(copies, default=None),
                )
            case Warned():
                log.warning(event.text, **_of(event.resource))
            case ArtifactStored(artifact=artifact):
                log.info(
                    "artifact stored",
                    **_of(artifact.resource),
                    name=artifact.name,
                    bytes=artifact.bytes,
                    rows=artifact.rows,
                    sha256=artifact.sha256,
                    version=artifact.version,
                    schema_version=artifact.schema_version,
                    seconds=round(event.seconds, 3),
                )
            case ResourceFinished(outcome=outcome) if outcome.status == "failed":
                log.error("resource failed", **_of(outcome.resource), error=outcome.error)
            case SourceFinished(result=result):
                if result.source_error is not None:
                    log.error("source failed", source=result.source, error=result.source_error)
                told = result.summary()
                names = ("source", "status", "bytes", "rows", "attempts", "durations")
                fields = {name: told[name] for name in names}
                getattr(log, LOUDNESS[result.status])("source finished", **fields)
            case _:
                pass  # progress is for people who watch


def _of(resource: Resource) -> dict[str, object]:
    return {"source": resource.source, "resource": resource.key, **resource.labels}
