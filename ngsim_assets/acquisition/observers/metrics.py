"""Events as counts for Prometheus.

Belongs here: which event counts where. Does not belong here: the metrics (observability/metrics.py)
and what becomes of them when the process ends.
"""

from __future__ import annotations

from ngsim_assets.acquisition.events import (
    ArtifactStored,
    BytesReceived,
    Event,
    ResourceFinished,
    SourceFinished,
    SourceStarted,
)
from ngsim_assets.acquisition.observers.received import Received
from ngsim_assets.acquisition.sources import Resource
from ngsim_assets.observability.metrics import ALL, IngestionMetrics


class MetricsObserver:
    """Counts in `metrics`, under the `highway` that resources are labelled with and their source.

    A resource without that label counts as of all highways. One that could not be had is an
    error, also where an earlier copy stands in for it.
    """

    def __init__(self, metrics: IngestionMetrics) -> None:
        self._metrics = metrics
        self._received = Received()

    async def notice(self, event: Event) -> None:
        """Count `event`."""
        metrics = self._metrics
        new = self._received.by(event)
        match event:
            case SourceStarted():
                metrics.active_ingestors.labels(ALL, event.source).inc()
            case BytesReceived():
                metrics.bytes_total.labels(*_of(event.resource)).inc(new)
            case ArtifactStored(artifact=artifact):
                labels = _of(artifact.resource)
                metrics.records_total.labels(*labels).inc(artifact.rows or 0)
                metrics.ingestion_duration_seconds.labels(*labels).observe(event.seconds)
            case ResourceFinished(outcome=outcome) if outcome.error is not None:
                metrics.errors_total.labels(*_of(outcome.resource)).inc()
            case SourceFinished(result=result):
                metrics.active_ingestors.labels(ALL, result.source).dec()
                if result.source_error is not None:
                    metrics.errors_total.labels(ALL, result.source).inc()
            case _:
                pass


def _of(resource: Resource) -> tuple[str, str]:
    return resource.labels.get("highway", ALL), resource.source
