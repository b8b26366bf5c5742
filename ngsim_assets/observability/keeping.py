"""What a process counts is kept, while it works and when it ends; and that never fails its work.

Belongs here: when counts are added to the totals, and announced, and pushed. Does not belong here:
how (folding.py, ingestors.py, pushing.py), what is counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.observability import logs, pushing
from ngsim_assets.observability.folding import Ledger
from ngsim_assets.observability.ingestors import Announcement, remove_dead
from ngsim_assets.observability.metrics import HIGHWAY, SOURCE, IngestionMetrics
from ngsim_assets.settings import Settings

if TYPE_CHECKING:
    from prometheus_client import Gauge

EVERY = 10.0
"""Seconds between two additions to the totals: what a process that is killed loses at most."""

_LOOK = 0.5
"""Seconds between two looks at what is under way."""

_PATIENCE = 10.0
"""Seconds that the end of a process waits for an addition that is going on."""

_log = logs.get_logger(logger="metrics")


@contextmanager
def kept(settings: Settings, *, every: float = EVERY) -> Iterator[IngestionMetrics]:
    """Metrics to count in; what they count is added to the totals in `settings.metrics`.

    That is done every few seconds, and at the end of the block however it ends. Where it cannot be
    done that is told as a warning, and the work goes on.
    """
    metrics = IngestionMetrics()
    keeper = _Keeper(metrics, settings, every)
    keeper.begin()
    try:
        yield metrics
    finally:
        keeper.end()


class _Keeper:
    def __init__(self, metrics: IngestionMetrics, settings: Settings, every: float) -> None:
        self._metrics = metrics
        self._settings = settings
        self._every = every
        self._ledger = Ledger(metrics.registry, settings.metrics)
        self._announcement = Announcement(settings.metrics)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="keep-metrics", daemon=True)
        self._unpushed = False
        self._troubles: set[str] = set()

    def begin(self) -> None:
        with suppress(RuntimeError):  # no more threads: all is added at the end
            self._thread.start()

    def end(self) -> None:
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            self._warn("the folder of metrics does not answer, what was counted is lost")
            return
        with suppress(OSError):
            self._announcement.tell({})
            remove_dead(self._settings.metrics)
        self._add()

    def _go_on(self) -> None:
        added = time.monotonic()
        while not self._ending.wait(min(_LOOK, self._every)):
            try:
                self._announcement.tell(_active(self._metrics.active_ingestors))
            except OSError as error:
                self._warn("what is under way cannot be announced", error)
            if time.monotonic() - added >= self._every:
                self._add()
                added = time.monotonic()

    def _add(self) -> None:
        settings = self._settings
        try:
            self._unpushed |= self._ledger.fold()
            if self._unpushed and settings.pushgateway:
                self._unpushed = not pushing.push(settings.pushgateway, settings.metrics)
        except (NgsimAssetsError, OSError) as error:
            self._warn("metrics were not kept", error)
        except Exception as error:  # whatever it is, it is not worth the work that is measured
            self._warn("metrics were not kept, and this is a bug", error)

    def _warn(self, event: str, error: Exception | None = None) -> None:
        """Once each, since it may be so for hours."""
        if event not in self._troubles:
            self._troubles.add(event)
            _log.warning(event, error=error) if error is not None else _log.warning(event)


def _active(gauge: Gauge) -> dict[tuple[str, str], int]:
    return {
        (sample.labels[HIGHWAY], sample.labels[SOURCE]): int(sample.value)
        for family in gauge.collect()
        for sample in family.samples
    }
