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

    One that could not be had is an error, also where an earlier copy stands in for it.

    Args:
        otherwise: `highway` of resources without that label, by default all.
    """

    def __init__(self, metrics: IngestionMetrics, *, otherwise: str = ALL) -> None:
        self._metrics = metrics
        self._otherwise = otherwise
        self._received = Received()

    async def notice(self, event: Event) -> None:
        """Count `event`."""
        metrics = self._metrics
        new = self._received.by(event)
        match event:
            case SourceStarted():
                metrics.active_ingestors.labels(self._otherwise, event.source).inc()
            case BytesReceived():
                metrics.bytes_total.labels(*self._of(event.resource)).inc(new)
            case ArtifactStored(artifact=artifact):
                labels = self._of(artifact.resource)
                metrics.records_total.labels(*labels).inc(artifact.rows or 0)
                metrics.ingestion_duration_seconds.labels(*labels).observe(event.seconds)
            case ResourceFinished(outcome=outcome) if outcome.error is not None:
                metrics.errors_total.labels(*self._of(outcome.resource)).inc()
            case SourceFinished(result=result):
                metrics.active_ingestors.labels(self._otherwise, result.source).dec()
                if result.source_error is not None:
                    metrics.errors_total.labels(self._otherwise, result.source).inc()
            case _:
                pass

    def _of(self, resource: Resource) -> tuple[str, str]:
        return resource.labels.get("highway", self._otherwise), resource.source
