"""Is everything that is stored as it was written: tables, delivered rows, reports, downloads.

Belongs here: what is looked at, and which command mends what is found. Does not belong here: how
a data file is checked (storage/verify.py), who is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ngsim_assets.acquisition.content import Content
from ngsim_assets.acquisition.deliveries import DeliveredFile, Share
from ngsim_assets.acquisition.errors import DamagedManifest, DamagedPart
from ngsim_assets.acquisition.objects import damage_of
from ngsim_assets.acquisition.parts import Parts
from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.acquisition.tallying import ContentTally
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway import model, sql_catalog
from ngsim_assets.highway.arrival.spill import NUMBERS
from ngsim_assets.highway.formats import BATCH_SCHEMA
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.reporting import report_folder
from ngsim_assets.highway.stages import Platform, identity
from ngsim_assets.highway.staleness import report_fault
from ngsim_assets.storage.errors import DamagedFile
from ngsim_assets.storage.parquet import Damage
from ngsim_assets.storage.schema import Table

LANDING = "landing zone"
REPORT = "report"
DOWNLOADS = "downloads"


class DamageFound(NgsimAssetsError):
    """Something that is stored is not as it was written."""

    def __init__(self, found: int) -> None:
        files = "1 file is" if found == 1 else f"{found} files are"
        super().__init__(f"{files} not as written", "each is named above, with what mends it")


@dataclass(frozen=True)
class Fault:
    """A file that is not as it was written.

    Attributes:
        where: table, `landing zone`, `report` or `downloads`. recording: partition key, empty if
            it concerns more than one or none. fix: what mends it, a command where one does.
    """

    where: str
    recording: str
    path: Path
    problem: str
    fix: str

    def row(self) -> dict[str, str]:
        """For people and machines: a line."""
        return {name: str(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Part:
    """A piece of what is to be verified.

    Attributes:
        bytes: to be read, as far as is known. faults: reads them, and yields what does not fit.
    """

    name: str
    bytes: int
    faults: Callable[[], Iterator[Fault]]


def to_verify(
    platform: Platform,
    downloads: DownloadStore,
    key: PartitionKey | None = None,
    table: str | None = None,
) -> list[Part]:
    """Everything that is stored, or what is of one recording, or of one table, part by part."""
    parts: list[Part] = []
    tables = sql_catalog.shown(platform)
    for wanted in tables.values() if table is None else [tables[table]]:
        parts += _of_table(platform, wanted, key)
    if table is None:
        parts += _of_landing(platform, key)
        parts.append(Part(REPORT, 0, lambda: _reports(platform, key)))
        if key is None:
            parts += _of_downloads(downloads)
    return parts


def _of_table(platform: Platform, table: Table, key: PartitionKey | None) -> Iterator[Part]:
    log = platform.lake.log(table)
    try:
        files = platform.lake.files(table)
        partitions = platform.lake.partitions(table)
    except DamagedFile as error:
        fault = Fault(table.name, "", error.path, error.reason, _rebuilt(log.folder))
        yield Part(table.name, 0, lambda: iter([fault]))
        return
    if key is None:
        yield Part(table.name, 0, lambda: _history(platform, table))
    wanted = identity(key).items() if key is not None else {}.items()
    for partition in partitions:
        if wanted <= partition.items():
            size = sum(f.bytes for f in files if partition.items() <= f.partition.items())
            name = f"{table.name} {'|'.join(partition.values())}"
            yield Part(name, size, lambda chosen=partition: _table_faults(platform, table, chosen))


def _table_faults(
    platform: Platform, table: Table, partition: Mapping[str, str]
) -> Iterator[Fault]:
    for damage in platform.lake.verify(table, partition):
        recording, fix = _mended(table, damage)
        yield Fault(table.name, recording, damage.path, damage.problem, fix)


def _mended(table: Table, damage: Damage) -> tuple[str, str]:
    """The recording that a damaged file is of, and the command that writes it again."""
    if table.name not in model.TABLES:  # of another domain, which says it with the table
        return "|".join(damage.partition[name] for name in table.identity), damage.fix
    if not table.partition_by or damage.partition.get("stage") == "intake":
        return "", "ngsim build"
    key = f"{damage.partition['highway_id']}|{damage.partition['recording']}"
    return key, f"ngsim build '{key}' --force"


def _history(platform: Platform, table: Table) -> Iterator[Fault]:
    """Commits that cannot be read: the rows are there, but not where they came from."""
    for error in platform.lake.log(table).unreadable_records():
        yield Fault(table.name, "", error.path, error.reason, error.fix)


def _rebuilt(folder: Path) -> str:
    return f"put the file back from a backup, or: mv {folder} {folder}.damaged; ngsim build"


def _of_landing(platform: Platform, key: PartitionKey | None) -> Iterator[Part]:
    try:
        files = platform.landing.files()
    except DamagedManifest as error:
        fault = Fault(LANDING, "", error.path, "cannot be read", _handed_over(error.path.parent))
        yield Part(LANDING, 0, lambda: iter([fault]))
        return
    for file in files:
        shares = {
            name: share
            for name, share in file.partitions.items()
            if key is None or name == str(key)
        }
        if key is None and file.unassigned is not None:
            shares[""] = file.unassigned
        folder = platform.landing.root / "files" / file.folder
        for name, share in shares.items():
            size = sum(_size(folder / part) for part in share.parts)
            yield Part(
                f"{LANDING} {file.name}",
                size,
                lambda f=file, n=name, s=share, p=folder: _share_faults(f, n, s, p),
            )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _share_faults(file: DeliveredFile, name: str, share: Share, folder: Path) -> Iterator[Fault]:
    """Whether the rows of a share still have the hash they were taken in with."""
    problem, path = "", folder
    try:
        if content_of([folder / part for part in share.parts]) != share.content:
            problem = "its rows are not those that were taken in: their hash differs"
    except DamagedPart as error:
        problem, path = error.problem, error.path
    if problem:
        fix = _handed_over(folder, file.claims[0].path if file.claims else "")
        yield Fault(LANDING, name, path, problem, fix)


def content_of(parts: list[Path]) -> Content:
    """Hash of the rows in part files of the landing zone, as their intake took it. DamagedPart."""
    tally = ContentTally(NUMBERS)
    with Parts(parts, BATCH_SCHEMA) as rows:
        for frame in rows.frames(NUMBERS):
            tally.add(frame, np.zeros(frame.height, np.int32))
    return tally.content(np.zeros(1, np.int64))


def _handed_over(folder: Path, delivered: str = "") -> str:
    file = f"'{delivered}'" if delivered else "FILE, the one it was taken in from"
    return f"rm -r {folder}; ngsim ingest {file}"


def _reports(platform: Platform, key: PartitionKey | None) -> Iterator[Fault]:
    for partition in platform.lake.partitions(model.QUALITY_METRICS):
        if key is not None and partition != identity(key):
            continue
        found = PartitionKey(partition["highway_id"], partition["recording"])
        metrics = platform.lake.current(model.QUALITY_METRICS, partition)
        problem = report_fault(platform, found, metrics) if metrics is not None else ""
        if problem:
            folder = report_folder(platform.reports, found)
            yield Fault(REPORT, str(found), folder, problem, f"ngsim build '{found}'")


def _of_downloads(store: DownloadStore) -> Iterator[Part]:
    for path in store.files():
        yield Part(f"{DOWNLOADS} {path.name}", _size(path), lambda p=path: _download_faults(p))


def _download_faults(path: Path) -> Iterator[Fault]:
    damage = damage_of(path)
    if damage is not None:
        problem = f"its SHA-256 is not the one it is named for: {damage.found}"
        fix = f"rm -r {path.parent}; run the ngsim download that brought it, with --again"
        yield Fault(DOWNLOADS, "", path, problem, fix)
