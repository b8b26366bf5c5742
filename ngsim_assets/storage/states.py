"""Earlier states of what tables hold of one thing: which of their versions were live together.

A state is what one run left behind. Belongs here: reading the lake's history. Does not belong
here: making a state live again (rollbacks.py), what a version is called (versions.py), which
tables go together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.schema import Table
from ngsim_assets.storage.versions import DataVersionManager, TableVersion

Changes = Mapping[str, Sequence[TableVersion]]
"""By asset, the versions that gave it other rows, newest first."""

_LISTED = 12


class NoSuchState(NgsimAssetsError):
    """What tables hold of a thing has not been in such a state."""

    exit_code = 2

    def __init__(self, subject: str, wanted: str, runs: Sequence[Run]) -> None:
        told = [f"@-{n} ({run.began:%Y-%m-%d %H:%M:%S} UTC)" for n, run in enumerate(runs, 1)]
        known = ", ".join(told[: len(runs) - 1][:_LISTED])
        super().__init__(
            f"{subject} has no state {wanted}",
            f"there are, with the beginning of the run that is undone: {known}"
            if known
            else "it was built once and not changed since",
        )


@dataclass(frozen=True)
class Place:
    """Where the rows of an asset are."""

    table: Table
    partition: Mapping[str, str]


@dataclass(frozen=True)
class Subject:
    """One thing that several tables hold rows of, a recording or a session.

    Attributes:
        name: its key. places: its assets, in building order.
        main: the asset whose versions stand for the whole. together: assets that are written by
            one step and so go back together.
    """

    name: str
    places: Mapping[str, Place]
    main: str
    together: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Run:
    """What one run changed of a subject: by asset, the number of its first commit."""

    run_id: str
    began: datetime
    first: Mapping[str, int]


def runs(lake: ParquetStorage, subject: Subject) -> list[Run]:
    """Runs that changed any table of a subject, newest first."""
    return _runs(_changes(DataVersionManager(lake), subject))


def state(
    lake: ParquetStorage, subject: Subject, wanted: str, asset: str | None = None
) -> dict[str, int]:
    """The versions of a subject's tables, by asset, that make up an earlier state of it.

    Args:
        wanted: without `asset`, `@-1` is before the last run that changed anything, a time is
            what was live then, and `12` or `v1.4.2` are versions of its main asset with all that
            was live beside them. With `asset` it is a version of that one's table, see
            `DataVersionManager.find`.
        asset: only that one, and those that go together with it.

    Tables that had not been built then are left out. Raises NoSuchState, and what
    `DataVersionManager.find` raises.
    """
    manager = DataVersionManager(lake)
    changes = _changes(manager, subject)
    moment = _moment_in(wanted)
    if asset is None and wanted.startswith("@-"):
        known = _runs(changes)
        undone = known[: _steps_back(subject, wanted, known)]
        first = {
            name: min(run.first[name] for run in undone if name in run.first)
            for name in subject.places
            if any(name in run.first for run in undone)
        }
        return _before(lake, subject, changes, first)
    if asset is None and moment is not None:
        first = _first_where(changes, lambda version: version.timestamp > moment)
        then = _before(lake, subject, changes, first)
        # a table that never had rows, as a quarantine may, is no state of the subject
        if not any(changes[name] for name in then):
            told = f"as of {moment:%Y-%m-%d %H:%M:%S} UTC"
            raise NoSuchState(subject.name, told, _runs(changes))
        return then
    named = asset or subject.main
    place = subject.places[named]
    found = manager.find(place.table, wanted, place.partition)
    later = {version.run_id for version in changes[named] if version.number > found.number}

    def is_later(version: TableVersion) -> bool:
        run = version.run_id
        return run in later or (version.timestamp > found.timestamp and run != found.run_id)

    beside = _before(lake, subject, changes, _first_where(changes, is_later))
    beside[named] = found.number
    if asset is None:
        return beside
    chosen = subject.together if asset in subject.together else {asset}
    return {name: version for name, version in beside.items() if name in chosen}


def _steps_back(subject: Subject, wanted: str, known: Sequence[Run]) -> int:
    steps = int(wanted[2:]) if wanted[2:].isdecimal() else 0
    if not 0 < steps < len(known):
        raise NoSuchState(subject.name, wanted, known)
    return steps


def _moment_in(wanted: str) -> datetime | None:
    """The time that `wanted` names, UTC unless it says another zone; None if it names none."""
    try:
        moment = datetime.fromisoformat(wanted) if wanted[:4].isdecimal() else None
    except ValueError:
        return None
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _changes(manager: DataVersionManager, subject: Subject) -> Changes:
    return {
        asset: [
            version
            for version in manager.versions(place.table, place.partition)
            if version.operation in {"replace", "rollback"}
        ]
        for asset, place in subject.places.items()
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
    lake: ParquetStorage, subject: Subject, changes: Changes, first: Mapping[str, int]
) -> dict[str, int]:
    """The versions that were live before those of `first`; the live ones where none is named."""
    versions_then: dict[str, int] = {}
    for asset, place in subject.places.items():
        if asset not in first:
            live = lake.current(place.table, place.partition)
            if live is not None:
                versions_then[asset] = live.version
        elif any(version.number < first[asset] for version in changes[asset]) or _written(
            lake, place, first[asset]
        ):
            versions_then[asset] = first[asset] - 1
    return versions_then


def _written(lake: ParquetStorage, place: Place, before: int) -> bool:
    """Whether rows were written before that commit, if only none, which makes no version."""
    if before < 1:
        return False
    told = (record.lineage for record in lake.log(place.table).records(before - 1))
    return any(
        lineage is not None
        and lineage.operation == "replace"
        and lineage.partition == dict(place.partition)
        for lineage in told
    )
