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
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from ngsim_assets.acquisition.content import Content
from ngsim_assets.acquisition.deliveries import (
    Claim,
    DeliveredFile,
    Delivery,
    Record,
    Rejection,
    Share,
)
from ngsim_assets.acquisition.errors import RowsUnaccounted
from ngsim_assets.acquisition.holdings import Holdings
from ngsim_assets.acquisition.remembered import MANIFEST, Remembered, write_record
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.storage.atomic import (
    make_folder,
    sweep_temporaries,
    sync_folder,
    write_atomically,
)
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
        self._remembered = Remembered(root)

    # reading ---------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Record]:
        """The record as it is, unchanged meanwhile: files opened in here can be read on after."""
        with self._held() as holdings:
            yield Record(self._files, holdings.files)

    def files(self) -> list[DeliveredFile]:
        """Live deliveries in the order they came."""
        with self._held() as holdings:
            return list(holdings.files)

    def partitions(self) -> list[str]:
        """Partitions of which any live delivery holds rows, sorted."""
        with self._held() as holdings:
            return holdings.partitions

    def deliveries(self, partition: str) -> list[Delivery]:
        """Live deliveries of one partition, see `Record.deliveries`."""
        with self._held() as holdings:
            record = Record(self._files, tuple(holdings.of_partition(partition)))
            return record.deliveries(partition)

    def partition_hash(self, partition: str) -> str:
        """Data version of a partition: hash of its rows over all live deliveries.

        Independent of the order of rows, of the division into files and of the order in which
        those came; a partition nobody delivered has the hash of no rows.
        """
        return sum((item.share.content for item in self.deliveries(partition)), Content()).digest

    def held_by(self, path: Path) -> list[DeliveredFile]:
        """Live deliveries that `path` holds: one, or one for each member of an archive."""
        with self._held() as holdings:
            return holdings.of_path(absolute(path))

    def has_size(self, size: int) -> bool:
        """Whether any path of this size holds a live delivery; another file may be its copy."""
        with self._held() as holdings:
            return holdings.has_size(size)

    def folders(self) -> frozenset[str]:
        """Names of the deliveries' folders as they lie there; nothing is opened."""
        try:
            return frozenset(os.listdir(self._files))  # noqa: PTH208  # names, and fast
        except FileNotFoundError:
            return frozenset()

    def rejected(self) -> list[Rejection]:
        """Files that could not be taken in, by path."""
        with self._held():
            entries = self._remembered.rejections.values()
            return sorted(entries, key=lambda entry: (entry.path, entry.member or ""))

    def is_rejected(self, path: Path) -> bool:
        """Whether anything of the file at `path` could not be taken in."""
        return any(entry.path == absolute(path) for entry in self.rejected())

    def is_unfinished(self, path: str) -> bool:
        """Whether the archive at `path` may hold more than was taken in: its reader died."""
        return (self._unfinished / _short(path)).exists()

    @contextmanager
    def _held(self) -> Iterator[Holdings]:
        try:
            lock = (self.root / ".lock").open("rb")
        except FileNotFoundError:
            yield Holdings()
            return
        with lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            self._remembered.keep_up(lock)
            yield self._remembered.holdings

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
    def unfinished(self, path: Path) -> Iterator[None]:
        """Mark the archive at `path` as read in part until the block ends without an error."""
        mark = self._unfinished / _short(absolute(path))
        write_atomically(mark, absolute(path))
        yield
        mark.unlink(missing_ok=True)

    @contextmanager
    def changing(self) -> Iterator[Change]:
        """Change the record, one process at a time. Do not read from the zone itself in here."""
        with writing(self.root):
            for folder in (self._files, self._rejected, self._staging):
                make_folder(folder)
            with (self.root / ".lock").open("a+b") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._remembered.keep_up(lock)
                self._remembered.begin(lock)
                try:
                    yield Change(self, lock)
                    self._remembered.end(lock)
                except BaseException:
                    self._remembered.forget()
                    raise

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
        with self.changing() as change:
            change.write_rejection(rejection)
        return rejection

    def note_aside(self, path: Path, target: Path) -> None:
        """Record that the refused file at `path` was moved to `target`."""
        with self.changing() as change:
            for entry in list(self._remembered.rejections.values()):
                if entry.path == absolute(path) and entry.aside is None:
                    change.write_rejection(replace(entry, aside=absolute(target)))

    def forget_removed(self) -> None:
        """Drop the records of refused files that were moved aside and have been removed since."""
        removed = [
            entry
            for entry in self.rejected()
            if entry.aside is not None and not os.path.lexists(entry.aside)
        ]
        if removed:
            with self.changing() as change:
                for entry in removed:
                    change.drop_rejection(entry.path, entry.member)

    def sweep(self) -> list[Path]:
        """Remove what killed writers left: deliveries half written, temporary records.

        Returns the paths of the records; every delivery sweeps the former by itself.
        """
        if not self.root.exists():
            return []
        with self.changing():
            self._sweep()
            folders = (self._files, self._rejected)
            return [path for folder in folders for path in sweep_temporaries(folder, older_than=0)]

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
    log: BinaryIO

    @property
    def holdings(self) -> Holdings:
        """Live deliveries, as they are after what was changed so far."""
        return self.zone._remembered.holdings  # noqa: SLF001  # two halves of one thing

    def files(self) -> list[DeliveredFile]:
        """Live deliveries in the order they came."""
        return list(self.holdings.files)

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
        same = self.holdings.of_content(file.sha256)
        moved = tuple(claim for other in same for claim in other.claims)
        file = replace(
            file,
            sequence=1 + self.holdings.last_sequence,
            claims=self._ordered((*moved, *file.claims)),
            partitions={
                partition: replace(share, since=self._since(partition, share))
                for partition, share in file.partitions.items()
            },
        )
        write_record(staging.folder / MANIFEST, file)
        target = self._folder(file)
        self.zone._remembered.changing_file(self.log, file.folder)  # noqa: SLF001
        staging.folder.rename(target)
        sync_folder(target.parent)
        self.holdings.put(file.folder, file)
        self._settle(file)
        return file

    def _since(self, partition: str, share: Share) -> int:
        """When the content of a share came first, 0 if it is new."""
        return min(
            (
                known.since or file.sequence
                for file in self.holdings.of_partition(partition)
                if (known := file.partitions[partition]).content == share.content
            ),
            default=0,
        )

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
        self._write(file)
        self._settle(file)
        return file

    def release(self, path: Path, members: set[str | None]) -> None:
        """Let go what `path` held before under any name that is not among `members`."""
        for file in self.holdings.of_path(absolute(path)):
            kept = tuple(
                claim
                for claim in file.claims
                if claim.path != absolute(path) or claim.member in members
            )
            if len(kept) < len(file.claims):
                self._write(replace(file, claims=kept))
        self._drop_unheld()

    def write_rejection(self, rejection: Rejection) -> None:
        """Record `rejection`, in place of an earlier one of the same file or member."""
        name = _rejection_name(rejection.path, rejection.member)
        self.zone._remembered.changing_rejection(self.log, name)  # noqa: SLF001
        write_record(self.zone._rejected / name, rejection)  # noqa: SLF001
        self.zone._remembered.recall_rejection(name)  # noqa: SLF001

    def drop_rejection(self, path: str, member: str | None) -> None:
        """Remove the rejection of a file or member, if there is one."""
        remembered = self.zone._remembered  # noqa: SLF001
        name = _rejection_name(path, member)
        if name in remembered.rejections:
            remembered.changing_rejection(self.log, name)
            (self.zone._rejected / name).unlink(missing_ok=True)  # noqa: SLF001
            remembered.recall_rejection(name)

    def _settle(self, file: DeliveredFile) -> None:
        for claim in file.claims:
            self.drop_rejection(*claim.place)
        self._drop_unheld()

    def _drop_unheld(self) -> None:
        for folder in sorted(self.holdings.unheld):
            self.zone._remembered.changing_file(self.log, folder)  # noqa: SLF001
            retired = self.zone._staging / f"{folder}.retired"  # noqa: SLF001
            with suppress(FileNotFoundError):  # somebody was faster, by hand
                (self.zone._files / folder).rename(retired)  # noqa: SLF001
            shutil.rmtree(retired, ignore_errors=True)
            self.holdings.put(folder, None)

    def _write(self, file: DeliveredFile) -> None:
        self.zone._remembered.changing_file(self.log, file.folder)  # noqa: SLF001
        write_record(self._folder(file) / MANIFEST, file)
        self.holdings.put(file.folder, file)

    def _ordered(self, claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
        """Each place once, its last claim, made later than every claim there is."""
        newest = {claim.place: claim for claim in claims}
        return tuple(
            replace(claim, order=self.holdings.last_order + number)
            for number, claim in enumerate(newest.values(), 1)
        )

    def _folder(self, file: DeliveredFile) -> Path:
        return self.zone._files / file.folder  # noqa: SLF001


def _rejection_name(path: str, member: str | None) -> str:
    place = "\0".join((path, member or ""))
    return f"{_short(place)}.json"


def _short(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]


def absolute(path: Path) -> str:
    """`path` from the root, without `..`; links are not followed, a link is a place of its own."""
    return os.path.abspath(path)  # noqa: PTH100  # resolve() would follow links
