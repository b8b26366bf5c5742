"""One file on its way into the landing zone.

Belongs here: whether it is known, reading it, keeping what it delivered. Does not belong here:
which files there are (intake.py), formats (source.py), sorting (spill.py), which recording is
which (recordings.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ngsim_assets.acquisition.deliveries import Claim, DeliveredFile
from ngsim_assets.acquisition.errors import FileStillChanging
from ngsim_assets.acquisition.landing import Change, LandingZone, Staging, absolute
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
)
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.reading import archives
from ngsim_assets.highway.source import SourceMember, read_batches, survey

Progress = Callable[[IntakeProgress], None]


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells cheaply whether a file is the one seen before."""

    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        try:
            state = path.stat()
        except OSError as error:
            raise SourceUnreadable(str(path), error.strerror or str(error)) from error
        return cls(state.st_size, state.st_mtime_ns)


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
        live = landing.files()
        self._held = [file for file in live if _claims_on(file, path)]
        self._others = [file for file in live if not _claims_on(file, path)]
        earlier = self._held[0].options if self._held else {}
        self._told = {
            name: earlier.get(name) if value is None else value for name, value in told.items()
        }
        self._sha256: str | None = None

    def results(self) -> Iterator[Intake | Rejected]:
        """Take the file in, if it is not known."""
        try:
            self._state = FileState.of(self._path)
            known = self._known()
            if known is not None:
                yield from known
                return
            found = survey(self._path)
        except NgsimAssetsError as error:
            yield self._reject(error, None, self._path.name)
            return
        cut: list[tuple[SourceMember, CutAtExcelLimit, set[str]]] = []
        taken: dict[str, int] = {}
        for member in found.members:
            try:
                intake = self._take(member)
            except _Cut as stop:
                cut.append((member, stop.error, stop.keys))
                continue
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
            left = change.files()
        for file in self._held:
            gone = {claim.member for claim in _claims_on(file, self._path)} - members
            if gone:
                still = _still_delivered(file, left)
                note = f"no longer in {self._path.name}"
                yield Intake(self._path, file.name, 0, changed=True, note=note, touched=still)

    def _known(self) -> list[Intake] | None:
        """What the landing zone holds of this very file already, None if it has to be read."""
        if self._held:
            return self._known_here()
        for other in self._others:
            for claim in other.claims:
                if claim.size == self._state.size and self._agrees(other):
                    return self._known_elsewhere()
        return None

    def _known_here(self) -> list[Intake] | None:
        rejected = any(entry.path == absolute(self._path) for entry in self._landing.rejected())
        if rejected or not all(self._agrees(file) for file in self._held):
            return None
        claims = [claim for file in self._held for claim in _claims_on(file, self._path)]
        if any(claim.size != self._state.size for claim in claims):
            return None
        if any(claim.mtime_ns != self._state.mtime_ns for claim in claims):
            if any(claim.sha256 != self._hash() for claim in claims):
                return None
            with self._landing.changing() as change:
                for file in change.files():
                    for claim in _claims_on(file, self._path):
                        change.claim(file, self._claim(claim.member))
        return [self._intake(file, changed=False, note="unchanged") for file in self._held]

    def _known_elsewhere(self) -> list[Intake] | None:
        intakes: list[Intake] = []
        with self._landing.changing() as change:
            for file in change.files():
                for claim in file.claims:
                    if claim.sha256 == self._hash() and self._agrees(file):
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
            if FileState.of(self._path) != self._state:
                raise FileStillChanging(self._path)
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
            left = change.files()
            touched = {key for old in replaced for key in _still_delivered(old, left)}
            changed = bool(replaced) or not note
            return self._intake(file, changed=changed, note=note, touched=frozenset(touched))

        for file in change.files():
            if file.sha256 == sha256 and self._agrees(file):
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
        )
        return result(change.promote(staging, file))

    def _assign(self, member: SourceMember, spill: Spill, change: Change) -> Assignment:
        known: dict[PartitionKey, int | None] = {}
        for file in change.files():
            for key, share in file.partitions.items():
                t0 = share.extras.get("t0")
                known.setdefault(PartitionKey.parse(key), t0 if isinstance(t0, int) else None)
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
        return Claim(
            absolute(self._path), member, self._state.size, self._state.mtime_ns, self._hash()
        )

    def _hash(self) -> str:
        """SHA-256 of the file as it lies there, packed if it is."""
        if self._sha256 is None:
            with self._path.open("rb") as file:
                self._sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return self._sha256

    def _intake(
        self,
        file: DeliveredFile,
        *,
        changed: bool,
        note: str,
        touched: frozenset[str] = frozenset(),
    ) -> Intake:
        return Intake(
            path=self._path,
            name=file.name,
            rows=file.rows,
            partitions={key: share.rows for key, share in sorted(file.partitions.items())},
            unassigned=file.unassigned.rows if file.unassigned else 0,
            changed=changed,
            note=note,
            touched=touched,
        )

    def _reject(self, error: NgsimAssetsError, member: str | None, name: str) -> Rejected:
        if self._path.is_file():
            self._landing.reject(self._path, error, member)
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


def _still_delivered(file: DeliveredFile, live: Iterable[DeliveredFile]) -> frozenset[str]:
    """Partitions of `file` that live deliveries hold rows of."""
    held = {key for other in live for key in other.partitions}
    return frozenset(held & set(file.partitions))
