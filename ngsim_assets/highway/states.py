"""Earlier states of a recording: which versions of its tables were live together.

A state is what one run left behind. Belongs here: reading the lake's history. Does not belong
here: making a state live again (rollback.py), what a version is called (storage/versions.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.data_versions import partition_of, table_of
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.stages import Platform
from ngsim_assets.highway.staleness import ASSETS, TOGETHER, asset_of
from ngsim_assets.storage.versions import DataVersionManager, TableVersion

Changes = Mapping[str, Sequence[TableVersion]]
"""By asset, the versions that gave a recording other rows, newest first."""

_LISTED = 12


class NoSuchState(NgsimAssetsError):
    """A recording has not been in such a state."""

    exit_code = 2

    def __init__(self, key: PartitionKey, wanted: str, runs: Sequence[Run]) -> None:
        told = [f"@-{n} ({run.began:%Y-%m-%d %H:%M:%S} UTC)" for n, run in enumerate(runs, 1)]
        known = ", ".join(told[: len(runs) - 1][:_LISTED])
        super().__init__(
            f"{key} has no state {wanted}",
            f"there are, with the beginning of the run that is undone: {known}"
            if known
            else "it was built once and not changed since",
        )


@dataclass(frozen=True)
class Run:
    """What one run changed of a recording: by asset, the number of its first commit."""

    run_id: str
    began: datetime
    first: Mapping[str, int]


def runs(platform: Platform, key: PartitionKey) -> list[Run]:
    """Runs that changed any table of a recording, newest first."""
    return _runs(_changes(DataVersionManager(platform.lake), key))


def state(
    platform: Platform, key: PartitionKey, wanted: str, table: str | None = None
) -> dict[str, int]:
    """The versions of a recording's tables, by asset, that make up an earlier state of it.

    Args:
        wanted: without `table`, `@-1` is before the last run that changed anything, a time is
            what was live then, and `12` or `v1.4.2` are versions of its `quality_metrics` with
            all that was live beside them. With `table` it is a version of that table, see
            `DataVersionManager.find`.
        table: only that one; `validated_points` and `quarantine` always go together.

    Tables that had not been built then are left out. Raises NoSuchState, and what
    `DataVersionManager.find` raises.
    """
    manager = DataVersionManager(platform.lake)
    changes = _changes(manager, key)
    moment = _moment_in(wanted)
    if table is None and wanted.startswith("@-"):
        known = _runs(changes)
        undone = known[: _steps_back(key, wanted, known)]
        first = {
            asset: min(run.first[asset] for run in undone if asset in run.first)
            for asset in ASSETS
            if any(asset in run.first for run in undone)
        }
        return _before(platform, key, changes, first)
    if table is None and moment is not None:
        first = _first_where(changes, lambda version: version.timestamp > moment)
        then = _before(platform, key, changes, first)
        # a table that never had rows, as a quarantine may, is no state of the recording
        if not any(changes[asset] for asset in then):
            raise NoSuchState(key, f"as of {moment:%Y-%m-%d %H:%M:%S} UTC", _runs(changes))
        return then
    asset = asset_of(table) if table is not None else "quality_report"
    found = manager.find(table_of(asset), wanted, partition_of(asset, key))
    later = {version.run_id for version in changes[asset] if version.number > found.number}

    def is_later(version: TableVersion) -> bool:
        run = version.run_id
        return run in later or (version.timestamp > found.timestamp and run != found.run_id)

    beside = _before(platform, key, changes, _first_where(changes, is_later))
    beside[asset] = found.number
    if table is None:
        return beside
    together = TOGETHER if asset in TOGETHER else {asset}
    return {name: version for name, version in beside.items() if name in together}


def _steps_back(key: PartitionKey, wanted: str, known: Sequence[Run]) -> int:
    steps = int(wanted[2:]) if wanted[2:].isdecimal() else 0
    if not 0 < steps < len(known):
        raise NoSuchState(key, wanted, known)
    return steps


def _moment_in(wanted: str) -> datetime | None:
    """The time that `wanted` names, UTC unless it says another zone; None if it names none."""
    try:
        moment = datetime.fromisoformat(wanted) if wanted[:4].isdecimal() else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _changes(manager: DataVersionManager, key: PartitionKey) -> Changes:
    return {
        asset: [
            version
            for version in manager.versions(table_of(asset), partition_of(asset, key))
            if version.operation in {"replace", "rollback"}
        ]
        for asset in ASSETS
    }


def _runs(changes: Changes) -> list[Run]:
    ordered: list[tuple[datetime, str, TableVersion]] = []
    for asset, versions_of_asset in changes.items():
        moment = datetime.min.replace(tzinfo=UTC)
        for version in reversed(versions_of_asset):
            # a clock that was moved back does not turn the order of versions round
            moment = max(moment, version.timestamp)
            ordered.append((moment, asset, version))
    found: list[Run] = []
    for moment, asset, version in sorted(ordered, key=lambda entry: entry[0]):
        run_id = version.run_id
        if not found or found[-1].run_id != run_id:
            found.append(Run(run_id, moment, {}))
        first = {asset: version.number, **found[-1].first}
        found[-1] = replace(found[-1], first=first)
    return found[::-1]


def _first_where(changes: Changes, undone: Callable[[TableVersion], bool]) -> dict[str, int]:
    numbers = {
        asset: [version.number for version in versions_of_asset if undone(version)]
        for asset, versions_of_asset in changes.items()
    }
    return {asset: min(found) for asset, found in numbers.items() if found}


def _before(
    platform: Platform,
    key: PartitionKey,
    changes: Changes,
    first: Mapping[str, int],
) -> dict[str, int]:
    """The versions that were live before those of `first`; the live ones where none is named."""
    versions_then: dict[str, int] = {}
    for asset in ASSETS:
        if asset not in first:
            live = platform.lake.current(table_of(asset), partition_of(asset, key))
            if live is not None:
                versions_then[asset] = live.version
        elif any(version.number < first[asset] for version in changes[asset]):
            versions_then[asset] = first[asset] - 1
    return versions_then
