"""How much a live session may hold and how long it waits, all in one place.

Belongs here: the numbers. Does not belong here: what is done by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ngsim_assets.f1.telemetry.buffer import Bounds

_TABLES: Final = Bounds(batch_rows=5_000, batch_seconds=10.0)
_TELEMETRY: Final = Bounds(batch_rows=50_000, batch_seconds=30.0)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a live session; times in seconds.

    Attributes:
        queue: messages that wait for one ingestor.
        patience: how long the stream waits for an ingestor that has no room; then what is for this
            ingestor is dropped and counted until it has room again. None: for ever.
        tables: a small table is written when so many messages came, or the oldest of them waited so
            long; but not oftener than `pause`.
        telemetry: of batches of telemetry, the same.
        restarts: how often an ingestor that fails begins again, each after `restart_wait` more.
        to_come: how long a session may take to be started.
        silence: how long nothing at all may come until the feed counts as dead.
        to_end: how long a session that is finished may take to be ended.
        after: how long is listened to a session that has ended.
        told: how often health is written.
        away: how long PostgreSQL is left alone after it could not be reached.
    """

    queue: int = 20_000
    patience: float | None = 30.0
    tables: Bounds = _TABLES
    telemetry: Bounds = _TELEMETRY
    pause: float = 3.0
    restarts: int = 3
    restart_wait: float = 1.0
    to_come: float = 4 * 3600.0
    silence: float = 180.0
    to_end: float = 3600.0
    after: float = 60.0
    told: float = 2.0
    away: float = 60.0
