"""What health finds, as metrics: what Prometheus needs to ask for nothing but `/metrics`.

Belongs here: which finding is which gauge. Does not belong here: what is found (health.py), what
the gauges are called (observability/metrics.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sized
from datetime import datetime
from typing import cast

from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.observability import metrics
from ngsim_assets.observability.folding import Samples
from ngsim_assets.observability.health import Check, Health

# what of a check is counted
_COUNTED = (
    (metrics.OPEN_BREAKERS, "breakers", "open"),
    (metrics.FAILED_FILES, "rejected", "files"),
    (metrics.FAILED_BUILDS, "builds", "failed"),
    (metrics.WAITING_FILES, "incoming", "ready"),
)


def gauges(health: Health) -> Samples:
    """Gauges of what was found; what a check could not find out is left out, not told as 0."""
    found: Samples = {}
    for metric, name, field in _COUNTED:
        things = _of(health, name, field)
        if isinstance(things, Sized):
            found[metric.name, ()] = float(len(things))
    free = _of(health, "disk", "free_bytes")
    if isinstance(free, int):
        found[metrics.DISK_FREE.name, ()] = float(free)
    up = _of(health, "daemon", "up")
    if isinstance(up, bool):
        found[metrics.DAEMON_UP.name, ()] = float(up)
    recordings = health.of("recordings")
    if recordings is not None and "last_success" in recordings.data:
        found |= _last_success(recordings)
    return found


def _last_success(recordings: Check) -> Samples:
    """By highway and stage, the newest of all recordings."""
    told = cast("Mapping[str, Mapping[str, Mapping[str, str]]]", recordings.data["last_success"])
    newest: Samples = {}
    for key, stages in told.items():
        highway = PartitionKey.parse(key).highway_id
        for stage, success in stages.items():
            # sorted by name, as the labels of all samples
            labels = ((metrics.HIGHWAY, highway), (metrics.STAGE, stage))
            place = (metrics.LAST_SUCCESS.name, labels)
            moment = datetime.fromisoformat(success["time"]).timestamp()
            newest[place] = max(moment, newest.get(place, 0.0))
    return newest


def _of(health: Health, name: str, field: str) -> object:
    check = health.of(name)
    return None if check is None else check.data.get(field)
