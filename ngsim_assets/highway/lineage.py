"""Where a recording's rows come from: table by table, back to the lines of delivered files.

Belongs here: the way back as the records tell it, and every place where they do not. Does not
belong here: how hashes lead from table to table (storage/lineage.py), how the answer is shown
(lineage_questions.py).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ngsim_assets.acquisition.deliveries import DeliveredFile
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import model
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.reporting import report_folder
from ngsim_assets.highway.stages import Platform, identity
from ngsim_assets.storage.lineage import Made, Origins, Source
from ngsim_assets.storage.manifest import SourceFile
from ngsim_assets.storage.schema import Table
from ngsim_assets.storage.versions import DataVersionManager

# What nothing else is made of, the report first.
ENDS: tuple[Table, ...] = (
    model.QUALITY_METRICS,
    model.TRAJECTORY_SEGMENTS,
    model.TRAFFIC_STATE,
    model.QUARANTINE,
)


class NothingStored(NgsimAssetsError):
    """A recording of which a table holds no rows."""

    def __init__(self, key: PartitionKey, table: str) -> None:
        super().__init__(
            f"{table} holds no rows of {key}", "`ngsim status` says what is missing, and why"
        )


@dataclass(frozen=True)
class TracedFile:
    """A delivered file that rows were read from, and what has become of it.

    Attributes:
        file: as it was when the rows were read.
        delivered: whether the landing zone still holds that content.
        at_path: what lies at its path: unchanged, changed, gone, or unknown where the path is
            not a file's of this machine.
    """

    file: SourceFile
    delivered: bool
    at_path: str


@dataclass(frozen=True)
class Traced:
    """Rows of a recording in one table, and what they were made from.

    Attributes:
        semantic: the version as v{major}.{minor}.{patch}, empty if unknown.
        sources: tables they were made from. files: delivered files they were read from.
        gaps: what the record does not tell, and what is not as it should be.
        report: the page that was made of them, if that is there.
    """

    made: Made
    semantic: str
    sources: tuple[Traced, ...]
    files: tuple[TracedFile, ...]
    gaps: tuple[str, ...]
    report: Path | None = None

    def walk(self) -> Iterator[Traced]:
        """This and everything behind it, each once."""
        seen: set[tuple[str, int]] = set()
        waiting: list[Traced] = [self]
        while waiting:
            one = waiting.pop(0)
            if (one.made.table, one.made.version) not in seen:
                seen.add((one.made.table, one.made.version))
                waiting += one.sources
                yield one


class Tracer:
    """The way back for one recording, as the lake tells it now."""

    def __init__(self, platform: Platform, key: PartitionKey) -> None:
        self._platform = platform
        self._key = key
        self._origins = Origins(platform.lake, model.TABLES.values())
        self._versions = DataVersionManager(platform.lake)
        self._landed = {file.sha256: file for file in platform.landing.files()}

    def trace(self, table: Table) -> Traced:
        """What `table` holds of the recording, back to the files; NothingStored if nothing."""
        place = place_of(table, self._key).items()
        for made in self._origins.live(table):
            if place <= made.partition.items():
                return self._traced(made)
        raise NothingStored(self._key, table.name)

    def trace_all(self) -> list[Traced]:
        """Every table that nothing else is made of, as far as it has rows; NothingStored if none.

        Where an end is missing, the tables before it stand for it.
        """
        traced: list[Traced] = []
        for table in (*ENDS, *reversed(model.TABLES.values())):
            seen = {one.made.table for root in traced for one in root.walk()}
            if table.partition_by and table.name not in seen:
                try:
                    traced.append(self.trace(table))
                except NothingStored:
                    continue
        if not traced:
            raise NothingStored(self._key, "the lake")
        return traced

    def _traced(self, made: Made) -> Traced:
        sources = self._origins.sources(made)
        return Traced(
            made=made,
            semantic=self._semantic(made),
            sources=tuple(self._traced(source.made) for source in sources if source.made),
            files=tuple(self._files(made)),
            gaps=tuple(self._gaps(made, sources)),
            report=self._page(made),
        )

    def _semantic(self, made: Made) -> str:
        known = self._versions.versions(model.TABLES[made.table], made.partition)
        return next((one.semantic for one in known if one.number == made.version), "")

    def _files(self, made: Made) -> Iterator[TracedFile]:
        for file in made.provenance.files:
            landed = self._landed.get(file.sha256)
            yield TracedFile(file, landed is not None, _at_path(file, landed))

    def _gaps(self, made: Made, sources: list[Source]) -> Iterator[str]:
        if not made.is_recorded:
            yield (
                "no record of this write: another program made it, or its entry in the Delta log "
                "cannot be read"
            )
        elif not sources and not made.provenance.files:
            yield from self._untold(made)
        for source in sources:
            if source.made is None:
                hashes = ", ".join(sha256[:12] for sha256 in source.hashes)
                yield f"made from rows that no version of any table has: {hashes}"
            elif not source.made.live:
                yield (
                    f"made from version {source.made.version} of {source.made.table}, which has "
                    "other rows of this recording now"
                )
        if made.held_against:
            yield f"held at version {made.restored} although newer input is there"
        if made.live:
            yield from self._missing(made)
        if made.table == model.QUALITY_METRICS.name and made.live:
            yield from self._report(made)

    def _untold(self, made: Made) -> Iterator[str]:
        if made.table == model.RAW_TRAJECTORIES.name:
            now = self._platform.landing.deliveries(str(self._key))
            names = ", ".join(f"{item.file.name} (sha256 {item.file.sha256[:12]})" for item in now)
            yield (
                "stored before delivered files were recorded; `ngsim build --force` records them"
                + (f"; delivered now: {names}" if names else "")
            )
        elif made.rows:
            yield "the record names nothing it was made from"

    def _missing(self, made: Made) -> Iterator[str]:
        """Data files that are not there, or not as large as they were written."""
        table = model.TABLES[made.table]
        for file in self._platform.lake.files(table, made.partition):
            path = self._platform.lake.root / table.name / file.path
            if not path.exists():
                yield f"data file gone: {path} (ngsim verify says how to rebuild it)"
            elif path.stat().st_size != file.bytes:
                yield f"data file damaged: {path} (ngsim verify says how to rebuild it)"

    def _page(self, made: Made) -> Path | None:
        page = report_folder(self._platform.reports, self._key) / "report.html"
        is_of_it = made.table == model.QUALITY_METRICS.name and made.live and page.exists()
        return page if is_of_it else None

    def _report(self, made: Made) -> Iterator[str]:
        told = report_folder(self._platform.reports, self._key) / "report.json"
        try:
            version = json.loads(told.read_text())["origin"]["version"]
        except FileNotFoundError:
            yield f"no report of these metrics: {told} is not there"
        except (OSError, ValueError, KeyError, TypeError):
            yield f"the report cannot be read: {told}"
        else:
            if version != made.version:
                yield f"the report is of version {version}: {told}"


def place_of(table: Table, key: PartitionKey) -> Mapping[str, str]:
    """The partition of a recording in a table; in quarantine the one of its own rows."""
    stage = {"stage": "validated"} if table is model.QUARANTINE else {}
    return {**identity(key), **stage}


def recordings_of(platform: Platform) -> list[str]:
    """Keys of every recording that is delivered or stored, sorted."""
    stored = (
        "|".join((partition["highway_id"], partition["recording"]))
        for partition in platform.lake.partitions(model.RAW_TRAJECTORIES)
    )
    return sorted({*stored, *platform.landing.partitions()})


def _at_path(file: SourceFile, landed: DeliveredFile | None) -> str:
    if "://" in file.path or not file.path:
        return "unknown"
    try:
        state = Path(file.path).stat()
    except OSError:
        return "gone"
    for claim in landed.claims if landed else ():
        if claim.path == file.path:
            same = (state.st_size, state.st_mtime_ns) == (claim.size, claim.mtime_ns)
            return "unchanged" if same else "changed"
    return "changed"
