"""What health means for the highway: which checks there are, and what each finds.

Belongs here: what is fine, what somebody should look at, what keeps the platform from its work.
Does not belong here: Dagster, whose daemon is checked elsewhere (heartbeats.py, runs.py), how
checks are asked and served (observability).

Everything is read off the disk at the moment of asking; nothing is created or changed.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.acquisition.transfer import breaker
from ngsim_assets.automation import failures
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import incoming, model, overview, rollback, stages
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.staleness import Standing, damage_of
from ngsim_assets.observability.health import Check
from ngsim_assets.settings import Settings
from ngsim_assets.storage.live import live_commits

LONG_WAIT = 600.0
"""Seconds that a complete file may wait to be taken in before somebody should look: the daemon
looks every ten seconds, and one run may be busy with files that came before."""

_NAMED = 3
"""Things of one kind that a line for people names; the data has all."""


class HighwayHealth:
    """The checks of one data folder; each may be asked at any time, also side by side."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # each has what it read of the logs, and reads on from there
        self._lake = stages.open_platform(settings)
        self._recordings = stages.open_platform(settings)

    def checks(self) -> dict[str, Callable[[], Check]]:
        """Every check by its name."""
        settings = self._settings
        return {
            "disk": lambda: disk(settings),
            "lake": lambda: lake(self._lake),
            "recordings": lambda: recordings(self._recordings),
            "builds": lambda: builds(settings),
            "incoming": lambda: waiting(settings),
            "rejected": lambda: rejected(self._recordings),
            "rollbacks": lambda: rollbacks(settings),
            "breakers": lambda: breakers(settings),
            "downloads": lambda: downloads(settings),
        }

    def readiness(self) -> dict[str, Callable[[], Check]]:
        """What must hold for work to begin at all."""
        settings = self._settings
        return {
            "settings": lambda: _valid(settings),
            "data": lambda: _writable(settings.data),
            "lake": lambda: lake(self._lake, files=False),
        }


def disk(settings: Settings) -> Check:
    """Whether there is room, and a folder that can be written to."""
    found = _writable(settings.data)
    existing = next(
        folder for folder in (settings.data, *settings.data.absolute().parents) if folder.exists()
    )
    usage = shutil.disk_usage(existing)
    data = {
        "free_bytes": usage.free,
        "total_bytes": usage.total,
        "reserve_bytes": settings.disk_reserve,
    }
    if found.status != "ok":
        return Check("disk", found.status, found.detail, data)
    free, reserve = f"{usage.free / 1e9:,.1f} GB free", f"{settings.disk_reserve / 1e9:,.1f} GB"
    if usage.free < settings.disk_reserve:
        told = f"{free}, less than the {reserve} of NGSIM_DISK_RESERVE: ngsim vacuum, or more disk"
        return Check("disk", "failing", told, data)
    return Check("disk", "ok", f"{free}, {reserve} are kept in reserve", data)


def lake(platform: stages.Platform, *, files: bool = True) -> Check:
    """Whether every table can be opened and, with `files`, has all its live files.

    Damage is what shows without reading: files that are missing or of another size.
    """
    damaged: list[dict[str, str]] = []
    opened = 0
    for table in model.TABLES.values():
        try:
            commits = live_commits(platform.lake, table).values()
        except (NgsimAssetsError, OSError) as error:
            damaged.append({"table": table.name, "recording": "", "problem": str(error)})
            continue
        opened += bool(commits)
        for commit in commits if files else ():
            if problem := damage_of(platform, commit):
                named = "|".join(commit.partition.values())
                damaged.append({"table": table.name, "recording": named, "problem": problem})
    data = {"tables": opened, "damaged": damaged}
    if damaged:
        told = _listed(f"{d['table']} {d['recording']}: {d['problem']}" for d in damaged)
        return Check("lake", "failing", f"{told}; mend it: ngsim build", data)
    return Check("lake", "ok", f"{opened} tables hold rows, none is damaged", data)


def recordings(platform: stages.Platform) -> Check:
    """What is out of date, and when each stage last wrote anything of each recording."""
    keys = [PartitionKey.parse(key) for key in platform.landing.partitions()]
    found = overview.standings_of(platform, keys)
    stale = [str(key) for key in keys if any(standing.reasons for standing in found[key])]
    current = overview.summary_is_current(platform)
    data = {
        "count": len(keys),
        "stale": stale,
        "summary_is_current": current,
        "last_success": last_success(found),
    }
    if stale:
        told = f"{len(stale)} of {len(keys)} recordings are out of date ({_listed(stale)})"
        return Check("recordings", "degraded", f"{told}: ngsim build", data)
    if not current:
        return Check("recordings", "degraded", "corpus_summary is out of date: ngsim build", data)
    return Check("recordings", "ok", f"{len(keys)} recordings are up to date", data)


def last_success(
    found: Mapping[PartitionKey, Sequence[Standing]], now: datetime | None = None
) -> dict[str, dict[str, dict[str, object]]]:
    """By recording and stage, when it last wrote what is live now, and how long ago (s)."""
    now = now or datetime.now(UTC)
    return {
        str(key): {
            standing.asset: {
                "time": moment.isoformat(timespec="seconds"),
                "age": round((now - moment).total_seconds(), 1),
            }
            for standing in standings
            if standing.commit is not None and (moment := standing.commit.timestamp) is not None
        }
        for key, standings in found.items()
    }


def builds(settings: Settings) -> Check:
    """Builds that failed and have not succeeded since."""
    left = failures.standing(settings)
    data = {"failed": [failure.summary() for failure in left]}
    return Check("builds", "degraded" if left else "ok", failures.finding(settings).detail, data)


def waiting(settings: Settings) -> Check:
    """Complete files in the incoming folder that nobody has taken in, and for how long."""
    folder = settings.incoming_folder
    seen = incoming.changes(settings) if folder.exists() else incoming.Changes()
    since: dict[str, float] = {}
    for path in seen.ready:
        with suppress(FileNotFoundError):  # taken in meanwhile
            state = path.stat()
            # the later of the two: what is moved here keeps the time of its content
            since[str(path)] = max(state.st_mtime, state.st_ctime)
    longest = max((time.time() - moment for moment in since.values()), default=0.0)
    data = {
        "folder": str(folder),
        "ready": sorted(since),
        "settling": len(seen.settling) + len(seen.unsure),
        "waiting_seconds": round(max(0.0, longest), 1),
    }
    if seen.unreadable or (settings.incoming is not None and not folder.exists()):
        where = seen.unreadable[0] if seen.unreadable else folder
        return Check("incoming", "degraded", f"{where} cannot be looked into", data)
    if longest > LONG_WAIT:
        told = f"{_listed(since)} waits for {longest / 60:,.0f} min: ngsim ingest, or the daemon"
        return Check("incoming", "degraded", told, data)
    return Check("incoming", "ok", f"{len(since)} files wait in {folder}", data)


def rejected(platform: stages.Platform) -> Check:
    """Files that could not be taken in and are still there."""
    left = [
        entry for entry in platform.landing.rejected() if os.path.lexists(entry.aside or entry.path)
    ]
    data = {
        "files": [
            {"path": entry.aside or entry.path, "member": entry.member, "problem": entry.problem}
            for entry in left
        ]
    }
    if not left:
        return Check("rejected", "ok", "no file was refused", data)
    told = _listed(f"{Path(entry.path).name}: {entry.problem}" for entry in left)
    return Check("rejected", "degraded", f"refused: {told}", data)


def rollbacks(settings: Settings) -> Check:
    """Rollbacks that stopped half-way, or are going on."""
    left = rollback.unfinished(settings)
    data = {"unfinished": [{"recording": plan.key, "finish": plan.command} for plan in left]}
    if not left:
        return Check("rollbacks", "ok", "none is unfinished", data)
    told = _listed(f"{plan.key}: {plan.command}" for plan in left)
    return Check("rollbacks", "degraded", f"unfinished, and this ends it: {told}", data)


def breakers(settings: Settings) -> Check:
    """Hosts that failed so often that they are left alone."""
    now = time.time()
    left = breaker.standing(settings.downloads / "breakers", now=now)
    data = {
        "open": [
            {
                "host": one.host,
                "since": _iso(one.opened),
                "retry_in": round(max(0.0, one.until - now), 1),
                "openings": one.openings,
                "reason": one.reason,
            }
            for one in left
        ]
    }
    if not left:
        return Check("breakers", "ok", "no host is left alone", data)
    told = _listed(f"{one.host} since {_iso(one.opened)}: {one.reason}" for one in left)
    return Check("breakers", "degraded", f"left alone: {told}", data)


def downloads(settings: Settings) -> Check:
    """What is downloaded, when its publisher was last asked, what failed or was left half-way."""
    manifests = list(DownloadStore(settings.downloads).all_manifests())
    kept = [manifest for manifest in manifests if manifest.contents]
    failed = [
        {
            "download": f"{manifest.source} {manifest.key}",
            "time": manifest.failure.time.isoformat(timespec="seconds"),
            "error": manifest.failure.error,
            "problem": manifest.failure.problem,
            "fix": manifest.failure.fix,
            "copy_is_kept": bool(manifest.contents),
        }
        for manifest in manifests
        if manifest.failure is not None
    ]
    asked = {
        source: max(manifest.checked_at for manifest in kept if manifest.source == source)
        for source in sorted({manifest.source for manifest in kept})
    }
    now = time.time()
    idle = {
        folder.name.rpartition(".")[0]: now - _touched(folder)
        for folder in sorted((settings.downloads / "parts").glob("*"))
    }
    stopped = sorted(name for name, seconds in idle.items() if seconds > LONG_WAIT)
    data = {
        "resources": len(kept),
        "last_asked": {name: when.isoformat(timespec="seconds") for name, when in asked.items()},
        "failed": failed,
        "under_way": sorted(idle.keys() - set(stopped)),
        "stopped_half_way": stopped,
    }
    told: list[str] = []
    if failed:
        each = (f"{one['download']} at {one['time']}: {one['problem']}" for one in failed)
        told.append(f"failed last time: {_listed(each)}; ngsim download tries again")
    if stopped:
        told.append(f"stopped half-way: {_listed(stopped)}; ngsim download goes on with them")
    if told:
        return Check("downloads", "degraded", ". ".join(told), data)
    well = f"{len(kept)} resources are kept, {len(idle)} downloads are under way"
    return Check("downloads", "ok", well, data)


def _touched(folder: Path) -> float:
    """When anything in `folder` last changed, s since 1970."""
    moments: list[float] = []
    for path in (folder, *folder.rglob("*")):
        with suppress(FileNotFoundError):  # complete meanwhile
            moments.append(path.lstat().st_mtime)
    return max(moments, default=time.time())


def _valid(settings: Settings) -> Check:
    stages.open_platform(settings)  # raises what is wrong with them
    return Check("settings", "ok", "valid")


def _writable(folder: Path) -> Check:
    if not folder.is_dir():
        return Check("data", "failing", f"there is no data folder {folder}: ngsim init")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check("data", "failing", f"{folder} is read-only, or belongs to somebody else")
    return Check("data", "ok", f"{folder} can be written to")


def _listed(things: Iterable[str]) -> str:
    """The first few, and how many more there are."""
    named = list(things)
    more = f" and {len(named) - _NAMED:,} more" if len(named) > _NAMED else ""
    return "; ".join(named[:_NAMED]) + more


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
