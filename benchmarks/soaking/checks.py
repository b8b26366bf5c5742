"""What must hold of a data folder, killed or not, and how it is found out.

Belongs here: reading landing zone and lake, the tables that undisturbed runs make of the same
files, and the faults found. Does not belong here: events, kills.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote

import polars as pl

from benchmarks.soaking.events import Incoming
from ngsim_assets.acquisition.deliveries import DeliveredFile
from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.acquisition.parts import Parts
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import intake, model, overview, reporting, stages
from ngsim_assets.highway.formats import BATCH_SCHEMA
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.upkeep import sweep_records
from ngsim_assets.settings import load_settings

LOST, DOUBLED, HALF, STALE, ORPHAN, OTHER = (
    "lost", "doubled", "half-written", "stale", "orphan", "other",
)  # fmt: skip

_TABLES = tuple(table for table in model.TABLES.values() if table.partition_by)
# Where a row stood, and whether its file's format has a column for the site, is of the file that
# was read: the same rows from another are no reason to rebuild. All else is of the recording.
_OF_THE_FILE = ("source_file", "source_row", "location")
_HOUR = 3700.0

Values = Mapping[str, pl.DataFrame]


@dataclass(frozen=True)
class Fault:
    """Something that must not be. `kind` is one of the names above."""

    kind: str
    what: str


@dataclass
class Checks:
    """Looks at one data folder again and again.

    Attributes:
        seen: per recording the contents it has had, as hashes of the files that delivered it.
    """

    data: Path
    incoming: Incoming
    seen: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)
    _made: dict[tuple[str, tuple[str, ...]], Values] = field(default_factory=dict)
    _claimed: dict[str, str] = field(default_factory=dict)
    _held: set[str] = field(default_factory=set)

    @cached_property
    def platform(self) -> stages.Platform:
        """The platform in the data folder, its logs followed from check to check."""
        return stages.open_platform(load_settings(data=self.data))

    def after_kill(self) -> list[Fault]:
        """Faults of a folder whose writer has just been killed: nothing half, nothing lost."""
        return [
            *self._reading(self._landing_is_sound),
            *self._reading(self._landing_goes_forward),
            *self._reading(self._nothing_is_half),
        ]

    def after_run(self) -> list[Fault]:
        """Faults of a folder in which a run ended by itself: everything is up to date."""
        return [
            *self.after_kill(),
            *self._reading(self._landing_holds_the_files),
            *self._reading(self._tables_are_current),
        ]

    def after_sweep(self) -> list[Fault]:
        """Files that nothing names although leftovers have been swept."""
        long_ago = time.time() - _HOUR  # only then they are nobody's for certain
        for table in model.TABLES.values():
            folder = self.data / "lake" / table.name
            for staged in [*folder.rglob("*#[0-9]*"), *folder.rglob("*.tmp")]:
                os.utime(staged, (long_ago, long_ago))
            self.platform.lake.sweep(table)
        for temporary in self.data.rglob("*.tmp"):
            os.utime(temporary, (long_ago, long_ago))
        sweep_records(self.platform, load_settings(data=self.data))
        return [Fault(ORPHAN, str(path.relative_to(self.data))) for path in self._orphans()]

    def sources(self) -> list[DeliveredFile]:
        """Live deliveries in the order they came."""
        return self.platform.landing.files()

    def _reading(self, check: Callable[[], Iterator[Fault]]) -> list[Fault]:
        try:
            return list(check())
        except NgsimAssetsError as error:
            return [Fault(OTHER, str(error))]

    # the landing zone ------------------------------------------------------------------------

    def _landing_is_sound(self) -> Iterator[Fault]:
        landing = self.platform.landing
        for file in landing.files():
            for key in file.partitions:
                self.seen.setdefault(key, set()).add(self.delivered(key))
            shares = [*file.partitions.values(), *([file.unassigned] if file.unassigned else [])]
            for share in shares:
                folder = landing.root / "files" / file.folder
                with Parts([folder / part for part in share.parts], BATCH_SCHEMA) as parts:
                    if parts.rows != share.rows:
                        said = f"{file.name} holds {parts.rows} rows instead of {share.rows}"
                        yield Fault(LOST if parts.rows < share.rows else DOUBLED, said)

    def _landing_goes_forward(self) -> Iterator[Fault]:
        """A name holds what it held, or what was put there later, or has passed it on.

        Seen from one look to the next, at most a kill apart: what a killed run took in counts,
        and what happened between two runs that nobody saw does not.
        """
        claimed = self._claims()
        past = self.incoming.held
        for name, sha256 in self._claimed.items():
            now = claimed.get(name, [""])[0]
            if now:
                sound = now in past[name][past[name].index(sha256) :]
            else:
                sound = any(sha256 in past[other] for other in claimed)
            if not sound:
                yield Fault(LOST, f"what {name} held is gone from the landing zone")
        self._claimed = {name: held[0] for name, held in claimed.items()}

    def _landing_holds_the_files(self) -> Iterator[Fault]:
        """Each good file is live under its path, once."""
        live = self.platform.landing.files()
        if len({file.sha256 for file in live}) < len(live):
            yield Fault(DOUBLED, "the landing zone holds a content twice")
        claimed = self._claims()
        for name, sha256 in self.incoming.good().items():
            if claimed.get(name) != [sha256]:
                yield Fault(LOST, f"{name} is in the folder, not as it is in the landing zone")
        for name, held in claimed.items():
            if len(held) > 1:
                yield Fault(DOUBLED, f"{name} holds {len(held)} contents in the landing zone")

    def _claims(self) -> dict[str, list[str]]:
        """SHA-256 of what the landing zone holds under each name."""
        claimed: dict[str, list[str]] = {}
        for file in self.platform.landing.files():
            for claim in file.claims:
                claimed.setdefault(Path(claim.path).name, []).append(file.sha256)
        return claimed

    def delivered(self, key: str) -> tuple[str, ...]:
        """SHA-256 of the files whose rows make up a recording, in the order those came first."""
        return tuple(item.file.sha256 for item in self.platform.landing.deliveries(key))

    # the tables ------------------------------------------------------------------------------

    def _nothing_is_half(self) -> Iterator[Fault]:
        """Every file as it was written; every partition as a whole run made it at some time."""
        for table in model.TABLES.values():
            for damage in self.platform.lake.verify(table):
                yield Fault(HALF, f"{damage.table}: {damage.path.name} {damage.problem}")
        held = self._held
        for key in sorted(self.seen):
            now = self._live(key)
            allowed = [self._expected(key, files) for files in sorted(self.seen[key])]
            for name, rows in now.items():
                if rows.height and not any(rows.equals(made[name]) for made in allowed):
                    most = max(made[name].height for made in allowed)
                    kind = DOUBLED if rows.height > most else HALF
                    yield Fault(kind, f"{name} of {key}: {rows.height} rows of no whole run")
                if not rows.height and f"{name} {key}" in held and name != "quarantine":
                    yield Fault(LOST, f"{name} of {key} had rows and has none")
            held |= {f"{name} {key}" for name, rows in now.items() if rows.height}

    def _tables_are_current(self) -> Iterator[Fault]:
        rows: list[dict[str, object]] = []
        for key in self.platform.landing.partitions():
            stale = overview.stale_tables(self.platform, PartitionKey.parse(key))
            if stale:
                yield Fault(STALE, f"{key} is not rebuilt: {', '.join(stale)}")
                continue
            now, made = self._live(key), self._expected(key, self.delivered(key))
            for name, found in now.items():
                if not found.equals(made[name]):
                    kind = DOUBLED if found.height > made[name].height else LOST
                    much = f"{found.height} rows, {made[name].height} expected"
                    yield Fault(kind, f"{name} of {key} is not what its files make: {much}")
            raw, kept, refused = (
                now[name].height for name in ("raw_trajectories", "validated_points", "quarantine")
            )
            if raw != kept + refused:
                yield Fault(LOST, f"{key}: {raw} rows raw, {kept} + {refused} after validation")
            rows.append(reporting.corpus_row(self.platform, PartitionKey.parse(key)))
        wanted = pl.DataFrame(rows, schema=model.CORPUS_SUMMARY.schema, orient="row")
        found = self.platform.lake.scan(model.CORPUS_SUMMARY).collect()
        order = ["highway_id", "recording"]
        if not found.sort(order).equals(wanted.sort(order)):
            yield Fault(STALE, f"corpus_summary has {found.height} of {wanted.height} rows right")

    def _live(self, key: str) -> Values:
        return _values(self.platform, PartitionKey.parse(key))

    def _expected(self, key: str, files: Sequence[str]) -> Values:
        """Tables of a recording as an undisturbed run makes them of `files`, by SHA-256."""
        name = (key, tuple(files))
        if name not in self._made:
            with TemporaryDirectory(prefix="undisturbed-") as folder:
                platform = stages.open_platform(load_settings(data=Path(folder)))
                for sha256 in files:
                    intake.take_in(self.incoming.archive / f"{sha256}.csv", platform.landing)
                parsed = PartitionKey.parse(key)
                stages.store_raw(platform, parsed)
                stages.store_validated(platform, parsed)
                stages.store_cleaned(platform, parsed)
                stages.store_segments(platform, parsed)
                stages.store_traffic_state(platform, parsed)
                reporting.store_metrics(platform, parsed)
                self._made[name] = _values(platform, parsed)
        return self._made[name]

    # files -----------------------------------------------------------------------------------

    def _orphans(self) -> Iterator[Path]:
        for table in model.TABLES.values():
            folder = self.data / "lake" / table.name
            named = set(_files_of_all_versions(folder))
            for path in folder.rglob("*"):
                inside = path.relative_to(folder).parts
                if path.is_file() and inside[0] != "_delta_log" and path not in named:
                    yield path
        for path in (self.data / "lake").rglob("*#*"):
            yield path
        for path in self.data.rglob("*.tmp"):
            yield path
        landing = LandingZone(self.data / "landing")
        held = {landing.root / "files" / file.folder for file in landing.files()}
        for path in (landing.root / "files").iterdir():
            if path not in held:
                yield path
        yield from (landing.root / ".staging").iterdir()


def values_of(platform: stages.Platform) -> Mapping[str, Values]:
    """All tables of all delivered recordings, by key."""
    return {
        key: _values(platform, PartitionKey.parse(key)) for key in platform.landing.partitions()
    }


def _values(platform: stages.Platform, key: PartitionKey) -> Values:
    """All tables of a recording but what is of the file and not of its rows, fully ordered."""
    held: dict[str, pl.DataFrame] = {}
    for table in _TABLES:
        rows = (
            platform.lake.scan(table, stages.identity(key))
            .collect()
            .drop(_OF_THE_FILE, strict=False)
        )
        flat = [name for name, dtype in rows.schema.items() if not dtype.is_nested()]
        held[table.name] = rows.sort(flat, nulls_last=True)
    return held


def _files_of_all_versions(table: Path) -> Iterator[Path]:
    """Data files that any entry of the log names, read from the log's own text."""
    for entry in (table / "_delta_log").glob("*.json"):
        for line in entry.read_text().splitlines():
            added = json.loads(line).get("add")
            if added is not None:
                yield table / unquote(added["path"])
