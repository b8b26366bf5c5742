"""One file on its way into the landing zone.

Belongs here: whether it is known, reading it, keeping what it delivered. Does not belong here:
which files there are (intake.py), formats (source.py), sorting (spill.py), which recording is
which (recordings.py).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from ngsim_assets.acquisition.deliveries import Claim, DeliveredFile
from ngsim_assets.acquisition.errors import DamagedManifest, DamagedPart, FileStillChanging
from ngsim_assets.acquisition.landing import Change, LandingZone, Staging, absolute
from ngsim_assets.acquisition.listing import FileState
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.highway.arrival.intake_results import Intake, IntakeProgress, Rejected
from ngsim_assets.highway.arrival.recordings import Assignment, assign_recordings
from ngsim_assets.highway.arrival.spill import Piece, Spill
from ngsim_assets.highway.errors import (
    CutAtExcelLimit,
    EmptySource,
    MetricReconstruction,
    NotNgsim,
    SourceUnreadable,
    UnspeakableName,
)
from ngsim_assets.highway.formats import FREEWAY_COLUMNS
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.reading import archives
from ngsim_assets.highway.source import SourceMember, Survey, read_batches, survey
from ngsim_assets.storage.errors import StorageError

Progress = Callable[[IntakeProgress], None]


class FileIntake:
    """One file on its way into the landing zone."""

    def __init__(
        self,
        path: Path,
        landing: LandingZone,
        told: Mapping[str, str | None],
        progress: Progress | None,
    ) -> None:
        self._path = path
        self._landing = landing
        self._progress = progress
        self._state = FileState(0, 0)
        self._held = landing.held_by(path)
        earlier = self._held[0].options if self._held else {}
        self._told = {
            name: earlier.get(name) if value is None else value for name, value in told.items()
        }
        self._sha256: str | None = None

    def results(self) -> Iterator[Intake | Rejected]:
        """Take the file in, if it is not known.

        Raises what is no fault of the file: LandingZone's errors and a full disk.
        """
        try:
            self._state = self._state_now()
            _refuse_unspeakable(self._path)
            known = self._known()
            if known is not None:
                yield from known
                return
            found = survey(self._path)
        except (StorageError, DamagedManifest, DamagedPart):
            raise
        except NgsimAssetsError as error:
            yield self._reject(error, None, self._path.name)
            return
        parts = len(found.members) + len(found.ignored)
        with self._landing.unfinished(self._path) if parts > 1 else nullcontext():
            yield from self._take_all(found)

    def _take_all(self, found: Survey) -> Iterator[Intake | Rejected]:
        cut: list[tuple[SourceMember, CutAtExcelLimit, set[str]]] = []
        taken: dict[str, int] = {}
        for member in found.members:
            try:
                intake = self._take(member)
            except _Cut as stop:
                cut.append((member, stop.error, stop.keys))
                continue
            except (StorageError, DamagedManifest, DamagedPart):
                raise
            except NgsimAssetsError as error:
                yield self._reject(error, member.member, member.name)
                continue
            taken.update(intake.partitions)
            yield intake
        for member, error, keys in cut:
            if keys <= set(taken):
                note = f"not taken, {error.problem}; its recordings are whole in the same archive"
                yield Intake(self._path, member.name, 0, note=note)
            else:
                yield self._reject(error, member.member, member.name)
        for ignored in found.ignored:
            # archives hold documents beside data, and the official one a reconstruction
            if not isinstance(ignored.error, NotNgsim | EmptySource | MetricReconstruction):
                yield self._reject(ignored.error, ignored.name, ignored.name)
        yield from self._release({member.member for member in found.members})

    def _release(self, members: set[str | None]) -> Iterator[Intake]:
        """Let go of members that the file held before and holds no more."""
        with self._landing.changing() as change:
            change.release(self._path, members)
            left = change.holdings
        for file in self._held:
            gone = {claim.member for claim in _claims_on(file, self._path)} - members
            if gone:
                still = left.still_delivers(file.partitions)
                yield Intake(
                    self._path,
                    file.name,
                    0,
                    changed=True,
                    note=f"no longer in {self._path.name}",
                    touched=still,
                    dropped=frozenset(file.partitions) - still,
                )

    def _known(self) -> list[Intake] | None:
        """What the landing zone holds of this very file already, None if it has to be read."""
        if self._held:
            return self._known_here()
        return self._known_elsewhere() if self._landing.has_size(self._state.size) else None

    def _known_here(self) -> list[Intake] | None:
        claims = [claim for file in self._held for claim in _claims_on(file, self._path)]
        if (
            any(claim.size != self._state.size for claim in claims)
            or not all(self._agrees(file) for file in self._held)
            or self._landing.is_rejected(self._path)
            or self._landing.is_unfinished(absolute(self._path))
        ):
            return None
        if any(not claim.state.agrees(self._state) for claim in claims):
            if any(claim.sha256 != self._hash() for claim in claims):
                return None
            with self._landing.changing() as change:
                for file in change.holdings.of_path(absolute(self._path)):
                    for claim in _claims_on(file, self._path):
                        change.claim(file, self._claim(claim.member))
        return [self._intake(file, changed=False, note="unchanged") for file in self._held]

    def _known_elsewhere(self) -> list[Intake] | None:
        intakes: list[Intake] = []
        packed = self._hash()
        with self._landing.changing() as change:
            for file in change.holdings.of_packed(packed):
                for claim in file.claims:
                    same = claim.sha256 == packed and self._agrees(file)
                    if same and not self._landing.is_unfinished(claim.path):
                        change.claim(file, self._claim(claim.member))
                        intakes.append(self._intake(file, changed=False, note=_same_as(file)))
                        break
        return intakes or None

    def _take(self, member: SourceMember) -> Intake:
        """Read a member into the landing zone; _Cut if a spreadsheet cut it."""
        with self._landing.staging() as staging:
            spill = Spill(staging.folder)
            digest = _Digest()
            cut: CutAtExcelLimit | None = None
            try:
                self._read(member, spill, digest)
            except CutAtExcelLimit as error:
                cut = error
            spill.close()
            self._refuse_changed()
            is_plain = not member.inside and archives.kind_of(self._path) == "plain"
            self._sha256 = digest.hexdigest() if is_plain else self._hash()
            with self._landing.changing() as change:
                if cut is not None:
                    raise self._cut(cut, member, spill, change)
                return self._keep(member, spill, digest, change, staging)

    def _read(self, member: SourceMember, spill: Spill, digest: _Digest) -> None:
        """One pass: batches are parsed, arranged and written at the same time, in order."""
        at = (0, self._state.size)

        def reached(done: int, total: int) -> None:
            nonlocal at
            at = (done, total)

        arranged: Future[list[Piece]] | None = None
        written: Future[None] | None = None
        with (
            ThreadPoolExecutor(1, thread_name_prefix="arrange") as arranger,
            ThreadPoolExecutor(1, thread_name_prefix="write") as writer,
        ):
            for batch in read_batches(member, on_bytes=digest.update, on_progress=reached):
                if arranged is not None:
                    pieces = arranged.result()
                    self._report(member, at, spill.rows)
                    if written is not None:
                        written.result()
                    written = writer.submit(spill.write, pieces)
                arranged = arranger.submit(spill.arrange, batch)
            if arranged is not None:
                pieces = arranged.result()
                if written is not None:
                    written.result()
                spill.write(pieces)
        self._report(member, (at[1], at[1]), spill.rows)

    def _report(self, member: SourceMember, at: tuple[int, int], rows: int) -> None:
        if self._progress is not None:
            self._progress(IntakeProgress(self._path, member.name, *at, rows))

    def _keep(
        self,
        member: SourceMember,
        spill: Spill,
        digest: _Digest,
        change: Change,
        staging: Staging,
    ) -> Intake:
        sha256 = digest.hexdigest()
        replaced = [
            file
            for file in self._held
            if file.sha256 != sha256
            and any(claim.member == member.member for claim in _claims_on(file, self._path))
        ]

        def result(file: DeliveredFile, note: str = "") -> Intake:
            lost = {key for old in replaced for key in old.partitions}
            touched = change.holdings.still_delivers(lost)
            told = self._intake(file, changed=bool(replaced) or not note, note=note)
            return replace(told, touched=touched, dropped=frozenset(lost) - touched)

        for file in change.holdings.of_content(sha256):
            if self._agrees(file):
                return result(change.claim(file, self._claim(member.member)), _same_as(file))
        rows = spill.settle(self._assign(member, spill, change))
        file = DeliveredFile(
            name=member.name,
            sha256=sha256,
            size=digest.size,
            columns=spill.columns(),
            rows=spill.rows,
            partitions=rows.partitions,
            unassigned=rows.unassigned,
            options=self._told,
            claims=(self._claim(member.member),),
            unread=member.unread,
        )
        return result(change.promote(staging, file))

    def _assign(self, member: SourceMember, spill: Spill, change: Change) -> Assignment:
        known: dict[PartitionKey, int | None] = {}
        for key, first in change.holdings.firsts():
            t0 = first.partitions[key].extras.get("t0")
            known[PartitionKey.parse(key)] = t0 if isinstance(t0, int) else None
        return assign_recordings(
            spill.origins(),
            member.source,
            known=known,
            highway=self._told["highway"],
            recording=self._told["recording"],
            coordinates=spill.coordinates,
        )

    def _cut(
        self, error: CutAtExcelLimit, member: SourceMember, spill: Spill, change: Change
    ) -> _Cut | CutAtExcelLimit:
        try:
            assignment = self._assign(member, spill, change)
        except NgsimAssetsError:
            return error
        return _Cut(error, {str(key) for key in assignment.keys})

    def _agrees(self, file: DeliveredFile) -> bool:
        """Whether `file` was taken in as this one is to be; what is not told now agrees."""
        return all(
            value is None or file.options.get(name) == value for name, value in self._told.items()
        )

    def _claim(self, member: str | None) -> Claim:
        state = self._state
        return Claim(
            absolute(self._path),
            member,
            state.size,
            state.mtime_ns,
            self._hash(),
            ctime_ns=state.ctime_ns,
            inode=state.inode,
        )

    def _hash(self) -> str:
        """SHA-256 of the file as it lies there, packed if it is."""
        if self._sha256 is None:
            with self._path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            self._refuse_changed()
            self._sha256 = sha256
        return self._sha256

    def _state_now(self) -> FileState:
        try:
            return FileState.of(self._path)
        except OSError as error:
            raise SourceUnreadable(str(self._path), error.strerror or str(error)) from error

    def _refuse_changed(self) -> None:
        if self._state_now() != self._state:
            raise FileStillChanging(self._path)

    def _intake(
        self,
        file: DeliveredFile,
        *,
        changed: bool,
        note: str,
    ) -> Intake:
        return Intake(
            path=self._path,
            name=file.name,
            rows=file.rows,
            partitions={key: share.rows for key, share in sorted(file.partitions.items())},
            unassigned=file.unassigned.rows if file.unassigned else 0,
            changed=changed,
            note=note,
            unread=file.unread,
            lacking=tuple(name for name in FREEWAY_COLUMNS if name not in file.columns),
        )

    def _reject(self, error: NgsimAssetsError, member: str | None, name: str) -> Rejected:
        """Record the error, unless the file is on its way: then it says nothing of the content."""
        try:
            self._refuse_changed()
            if not isinstance(error, FileStillChanging | UnspeakableName):
                self._landing.reject(self._path, error, member)
        except FileStillChanging as changed:
            error = changed
        except SourceUnreadable as gone:
            error = gone
        return Rejected(self._path, name, error)


class _Cut(Exception):  # not an error by itself: another member may be whole
    """A member that a spreadsheet cut, and the recordings it holds a part of."""

    def __init__(self, error: CutAtExcelLimit, keys: set[str]) -> None:
        self.error = error
        self.keys = keys
        super().__init__(str(error))


class _Digest:
    """SHA-256 and size of bytes as they pass by."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.size = 0

    def update(self, data: memoryview) -> None:
        self._sha256.update(data)
        self.size += len(data)

    def hexdigest(self) -> str:
        return self._sha256.hexdigest()


def _claims_on(file: DeliveredFile, path: Path) -> list[Claim]:
    return [claim for claim in file.claims if claim.path == absolute(path)]


def _same_as(file: DeliveredFile) -> str:
    return f"the same content as {file.claims[0].path}"


def _refuse_unspeakable(path: Path) -> None:
    """UnspeakableName if the name is not text: no table, record or message can hold it."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise UnspeakableName(os.fsencode(path).decode(errors="backslashreplace")) from None
