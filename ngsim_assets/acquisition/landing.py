"""What has been delivered: files, which rows of which partition each held, what was refused.

Belongs here: the record of deliveries on disk, and who may change it when. Does not belong
here: reading any format, what a partition or the inside of a part file means.

    <root>/files/00000007-3f5a90c1d2e4/manifest.json   one folder per delivered content
                                       *.parquet       its rows, by partition
    <root>/rejected/*.json                             files that could not be taken in, and why
    <root>/.staging/                                   deliveries being written

A delivery is written aside and renamed into place when it is complete, so a reader sees all of
it or nothing, whenever the writer is killed. Files are told apart by content: the same bytes
under another path (a copy, a rename) are one delivery with two paths. New bytes under a known
path replace the old ones; a delivery that no path holds any more is dropped.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from pydantic import TypeAdapter

from ngsim_assets.acquisition.content import Content
from ngsim_assets.acquisition.deliveries import Claim, DeliveredFile, Delivery, Record, Rejection
from ngsim_assets.acquisition.errors import DamagedManifest, RowsUnaccounted
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.storage.atomic import make_folder, sync_folder, write_atomically
from ngsim_assets.storage.errors import writing


@dataclass(frozen=True, slots=True)
class Staging:
    """A place to write a delivery aside; gone when its context ends, unless promoted."""

    folder: Path


class LandingZone:
    """Deliveries under `root`, safe with several processes. Opening creates nothing on disk.

    Raises DamagedManifest where a record cannot be read, DiskFull and ReadOnlyLake where one
    cannot be written.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files = root / "files"
        self._rejected = root / "rejected"
        self._staging = root / ".staging"
        self._unfinished = root / "unfinished"
        self._read: dict[Path, tuple[tuple[int, int, int], DeliveredFile]] = {}

    # reading ---------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Record]:
        """The record as it is, unchanged meanwhile: files opened in here can be read on after."""
        try:
            lock = (self.root / ".lock").open("rb")
        except FileNotFoundError:
            yield Record(self._files, ())
            return
        with lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield Record(self._files, tuple(self._live()))

    def files(self) -> list[DeliveredFile]:
        """Live deliveries in the order they came."""
        with self.reading() as record:
            return list(record.files)

    def partitions(self) -> list[str]:
        """Partitions of which any live delivery holds rows, sorted."""
        return sorted({partition for file in self.files() for partition in file.partitions})

    def deliveries(self, partition: str) -> list[Delivery]:
        """Live deliveries of one partition, see `Record.deliveries`."""
        with self.reading() as record:
            return record.deliveries(partition)

    def partition_hash(self, partition: str) -> str:
        """Data version of a partition: hash of its rows over all live deliveries.

        Independent of the order of rows, of the division into files and of the order in which
        those came; a partition nobody delivered has the hash of no rows.
        """
        return sum((item.share.content for item in self.deliveries(partition)), Content()).digest

    def folders(self) -> frozenset[str]:
        """Names of the deliveries' folders as they lie there; nothing is opened."""
        try:
            return frozenset(os.listdir(self._files))  # noqa: PTH208  # names, and fast
        except FileNotFoundError:
            return frozenset()

    def held_by(self, path: Path) -> list[DeliveredFile]:
        """Live deliveries that `path` holds: one, or one for each member of an archive."""
        place = absolute(path)
        return [file for file in self.files() if any(c.path == place for c in file.claims)]

    def is_unfinished(self, path: str) -> bool:
        """Whether a writer died over the archive at `path`: it holds more than was taken in."""
        return (self._unfinished / _short(path)).exists()

    def rejected(self) -> list[Rejection]:
        """Files that could not be taken in, by path."""
        with self.reading():
            return sorted(self._rejections(), key=lambda entry: (entry.path, entry.member or ""))

    # writing ---------------------------------------------------------------------------------

    @contextmanager
    def staging(self) -> Iterator[Staging]:
        """A fresh folder to write a delivery to; what killed writers left is swept on the way."""
        name = uuid4().hex
        folder, lock_path = self._staging / name, self._staging / f"{name}.lock"
        with self.changing():
            self._sweep()
            lock = lock_path.open("wb")
            fcntl.flock(lock, fcntl.LOCK_EX)
            folder.mkdir()
        try:
            yield Staging(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock_path.unlink(missing_ok=True)
            lock.close()

    @contextmanager
    def changing(self) -> Iterator[Change]:
        """Change the record, one process at a time. Do not read from the zone itself in here."""
        with writing(self.root):
            for folder in (self._files, self._rejected, self._staging):
                make_folder(folder)
            with (self.root / ".lock").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield Change(self)

    def reject(self, path: Path, error: NgsimAssetsError, member: str | None = None) -> Rejection:
        """Record that `path` could not be taken in, and why; what it delivered before stays."""
        state = path.stat()
        rejection = Rejection(
            path=absolute(path),
            member=member,
            size=state.st_size,
            mtime_ns=state.st_mtime_ns,
            error=type(error).__name__,
            problem=error.problem,
            fix=error.fix,
        )
        with self.changing():
            _write(self._rejection(rejection.path, member), rejection)
        return rejection

    def note_aside(self, path: Path, target: Path) -> None:
        """Record that the refused file at `path` was moved to `target`."""
        with self.changing():
            for entry in self._rejections():
                if entry.path == absolute(path) and entry.aside is None:
                    moved = replace(entry, aside=absolute(target))
                    _write(self._rejection(entry.path, entry.member), moved)

    # what both need --------------------------------------------------------------------------

    def _live(self) -> list[DeliveredFile]:
        """Deliveries that hold a path against all later claims, with those claims only."""
        files = sorted(self._manifests(), key=lambda file: file.sequence)
        latest: dict[tuple[str, str | None], int] = {}
        for file in files:
            for claim in file.claims:
                latest[claim.place] = max(claim.order, latest.get(claim.place, 0))
        held = (
            replace(file, claims=tuple(c for c in file.claims if c.order == latest[c.place]))
            for file in files
        )
        return [file for file in held if file.claims]

    def _manifests(self) -> Iterator[DeliveredFile]:
        for path in self._files.glob("[!.]*/manifest.json"):
            # a manifest is only ever replaced by a new file, so these tell its content
            state = path.stat()
            identity = (state.st_ino, state.st_mtime_ns, state.st_size)
            known = self._read.get(path)
            if known is None or known[0] != identity:
                known = self._read[path] = (identity, _read(path, DeliveredFile))
            yield known[1]

    def _rejections(self) -> list[Rejection]:
        return [_read(path, Rejection) for path in sorted(self._rejected.glob("[!.]*.json"))]

    def _rejection(self, path: str, member: str | None) -> Path:
        place = "\0".join((path, member or ""))
        return self._rejected / f"{_short(place)}.json"

    def _sweep(self) -> None:
        """Remove deliveries whose writer is gone. Needs the lock of `changing`."""
        for lock_path in self._staging.glob("*.lock"):
            # a writer that is done removes its lock whenever it likes
            with suppress(FileNotFoundError, BlockingIOError), lock_path.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                lock_path.unlink()
        for folder in self._staging.iterdir():
            if folder.is_dir() and not folder.with_suffix(".lock").exists():
                shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Change:
    """What can be done to a landing zone while `changing` holds its lock."""

    zone: LandingZone

    def files(self) -> list[DeliveredFile]:
        """Live deliveries in the order they came."""
        return self.zone._live()  # noqa: SLF001  # two halves of one thing

    def promote(self, staging: Staging, file: DeliveredFile) -> DeliveredFile:
        """Make the delivery written to `staging` live, in place of what its paths held before.

        Its sequence and the order of its claims are set here. A live delivery of the same bytes
        is replaced too: it was taken in with other options. RowsUnaccounted if shares and
        unassigned rows do not sum to the rows read.
        """
        shares = [*file.partitions.values(), *([file.unassigned] if file.unassigned else [])]
        kept = sum(share.rows for share in shares)
        if kept != file.rows:
            raise RowsUnaccounted(file.name, file.rows, kept)
        others = self.files()
        same = [other for other in others if other.sha256 == file.sha256]
        moved = tuple(claim for other in same for claim in other.claims)
        file = replace(
            file,
            sequence=1 + max((other.sequence for other in self._all()), default=0),
            claims=self._ordered((*moved, *file.claims)),
        )
        _write(staging.folder / "manifest.json", file)
        target = self._folder(file)
        staging.folder.rename(target)
        sync_folder(target.parent)
        self._settle(file)
        return file

    def claim(self, file: DeliveredFile, claim: Claim) -> DeliveredFile:
        """Record that `claim`'s path holds the content of `file`.

        Other paths of that content which no longer exist are let go: it was renamed.
        """
        kept = (
            other
            for other in file.claims
            if other.place != claim.place and Path(other.path).exists()
        )
        file = replace(file, claims=(*kept, *self._ordered((claim,))))
        _write(self._folder(file) / "manifest.json", file)
        self._settle(file)
        return file

    def release(self, path: Path, members: set[str | None]) -> None:
        """Let go what `path` held before under any name that is not among `members`."""
        for file in self.files():
            kept = tuple(
                claim
                for claim in file.claims
                if claim.path != absolute(path) or claim.member in members
            )
            if len(kept) < len(file.claims):
                _write(self._folder(file) / "manifest.json", replace(file, claims=kept))
        self._drop_unheld()

    def _settle(self, file: DeliveredFile) -> None:
        for claim in file.claims:
            self.zone._rejection(*claim.place).unlink(missing_ok=True)  # noqa: SLF001
        self._drop_unheld()

    def _drop_unheld(self) -> None:
        held = {file.folder for file in self.files()}
        for file in self._all():
            if file.folder not in held:
                retired = self.zone._staging / f"{file.folder}.retired"  # noqa: SLF001
                self._folder(file).rename(retired)
                shutil.rmtree(retired, ignore_errors=True)

    def _ordered(self, claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
        """Each place once, its last claim, made later than every claim there is."""
        last = max((claim.order for file in self._all() for claim in file.claims), default=0)
        newest = {claim.place: claim for claim in claims}
        return tuple(
            replace(claim, order=last + number) for number, claim in enumerate(newest.values(), 1)
        )

    def _all(self) -> list[DeliveredFile]:
        return list(self.zone._manifests())  # noqa: SLF001

    def _folder(self, file: DeliveredFile) -> Path:
        return self.zone._files / file.folder  # noqa: SLF001


def _short(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]


def absolute(path: Path) -> str:
    """`path` from the root, without `..`; links are not followed, a link is a place of its own."""
    return os.path.abspath(path)  # noqa: PTH100  # resolve() would follow links


_Record = TypeVar("_Record")


def _read(path: Path, kind: type[_Record]) -> _Record:
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DamagedManifest(path, str(error)) from error


def _write(path: Path, record: object) -> None:
    write_atomically(path, json.dumps(asdict(record), indent=1, ensure_ascii=False))  # pyright: ignore[reportArgumentType]
