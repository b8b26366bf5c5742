"""Whether Dagster's daemon lives, by the heartbeats that it leaves in its instance.

Its SQLite file is read here directly: that takes a millisecond and creates nothing, where opening
an instance imports Dagster for a second and makes whatever files are not there yet. A test writes
heartbeats through Dagster and reads them here, so that another layout is noticed. An instance that
keeps them elsewhere is asked by whoever may import Dagster (runs.py).

Belongs here: reading heartbeats and what their age means. Does not belong here: Dagster.
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Collection, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from ngsim_assets.observability.health import Check

NAME = "daemon"

SILENT = 180.0
"""Seconds without a heartbeat of any kind after which the process is dead: there are eight kinds,
and each beats every 30 s."""

HUNG = 1_800.0
"""Seconds that one kind may be silent while others beat, as Dagster itself has it: a kind that
works at something long does not beat meanwhile."""

_START = "start it: dagster-daemon run -m ngsim_assets.definitions"
_ELSEWHERE = re.compile(r"^(?:run_)?storage\s*:", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last one of a kind of daemon: s since 1970, and what went wrong lately, if anything."""

    time: float
    error: str = ""


def is_elsewhere(home: Path) -> bool:
    """Whether the instance in `home` does not keep heartbeats in its own SQLite file."""
    try:
        return _ELSEWHERE.search((home / "dagster.yaml").read_text()) is not None
    except FileNotFoundError:
        return False


def recorded(home: Path) -> dict[str, Heartbeat]:
    """The last heartbeat of every kind of daemon in the SQLite file of `home`; none if no file.

    Raises sqlite3.Error where the file is not Dagster's, or cannot be read.
    """
    path = (home / "history" / "runs.db").absolute()
    if not path.exists():
        return {}
    with closing(
        sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2)
    ) as connection:
        bodies = connection.execute("SELECT body FROM daemon_heartbeats").fetchall()
    found: dict[str, Heartbeat] = {}
    for (body,) in bodies:
        told = json.loads(body)
        errors = told.get("errors") or ()
        first = str(errors[0].get("message", "")).strip() if errors else ""
        found[str(told["daemon_type"])] = Heartbeat(float(told["timestamp"]), first)
    return found


def judged(
    beats: Mapping[str, Heartbeat],
    required: Collection[str] | None = None,
    now: float | None = None,
) -> Check:
    """What heartbeats say of the daemon.

    Args:
        required: kinds that must beat; None: those that ever did. now: s since 1970.
    """
    now = time.time() if now is None else now
    wanted = list(beats if required is None else required)
    beating = {kind: beats[kind] for kind in wanted if kind in beats}
    data: dict[str, object] = {
        "up": False,
        "heartbeats": {
            kind: {"time": _iso(beat.time), "age": round(now - beat.time, 1), "error": beat.error}
            for kind, beat in sorted(beating.items())
        },
    }
    if not beating:
        return Check(NAME, "degraded", f"no daemon runs, and none ever did here; {_START}", data)
    last = max(beat.time for beat in beating.values())
    if now - last > SILENT:
        return Check(
            NAME,
            "failing",
            f"the daemon is dead: its last heartbeat was {_ago(now - last)}; {_START}",
            data,
        )
    hung = [kind for kind, beat in beating.items() if now - beat.time > HUNG]
    silent = sorted({*hung, *(kind for kind in wanted if kind not in beats)})
    if silent:
        told = f"parts of the daemon do not beat: {', '.join(silent)}; start it again"
        return Check(NAME, "failing", told, data)
    data["up"] = True
    errors = {kind: beat.error for kind, beat in beating.items() if beat.error}
    if errors:
        kind, error = next(iter(errors.items()))
        return Check(NAME, "degraded", f"the daemon runs, with errors: {kind}: {error}", data)
    return Check(NAME, "ok", f"the daemon runs; last heartbeat {_ago(now - last)}", data)


def depends_on_required(beats: Mapping[str, Heartbeat], now: float | None = None) -> bool:
    """Whether what they say depends on which kinds must beat: some do, and some do not any more."""
    now = time.time() if now is None else now
    silent = [now - beat.time > HUNG for beat in beats.values()]
    return any(silent) and not all(silent)


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s ago"
    return f"{seconds / 60:,.0f} min ago" if seconds < 7200 else f"{seconds / 3600:,.0f} h ago"
