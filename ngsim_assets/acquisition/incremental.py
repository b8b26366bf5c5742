"""A watched folder: taking in what is new or changed in it, each file once.

Belongs here: the order of things when files are taken in, what a killed process leaves, files
that are gone, bad or on their way. Does not belong here: what counts as changed (looking.py), the
format of the checkpoint (checkpoint.py), what is in a file, which the domain tells.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ngsim_assets.acquisition.aside import move_aside
from ngsim_assets.acquisition.checkpoint import Checkpoint, Entry, Journal, Known
from ngsim_assets.acquisition.errors import FileStillChanging
from ngsim_assets.acquisition.landing import LandingZone, absolute
from ngsim_assets.acquisition.listing import FileState, listing, time_at
from ngsim_assets.acquisition.looking import Changes, Look
from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.storage.atomic import make_folder
from ngsim_assets.storage.errors import writing

Result = TypeVar("Result")

# File systems stamp files with a clock that stands still for up to 10 ms.
_CLOCK_STEP = 0.02

_NEVER = FileState(-1, -1)


@dataclass(frozen=True)
class Loaded(Generic[Result]):
    """A file that was handed to `take_in`.

    Attributes:
        path: where it was. results: what `take_in` said of it, whole or in parts.
        aside: where it lies now, if it was refused and moved. lost: partitions that the path
            held before, as far as an attempt that was killed may have taken them from it.
    """

    path: Path
    results: tuple[Result, ...]
    aside: Path | None = None
    lost: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Gone:
    """A file that is no longer there. Nothing was deleted.

    Attributes:
        path: where it was. partitions: those that its rows are still delivered for.
    """

    path: Path
    partitions: tuple[str, ...] = ()

    def sentence(self) -> str:
        """For people: one line."""
        kept = f"; its rows are kept ({', '.join(self.partitions)})" if self.partitions else ""
        return f"{self.path} is gone{kept}"


@dataclass(frozen=True, slots=True)
class Postponed:
    """A file that cannot be taken in yet; it is looked at again the next time."""

    path: Path
    reason: str

    def sentence(self) -> str:
        """For people: one line."""
        return f"{self.path} waits: {self.reason}"


class IncrementalLoader:
    """The files below `root`, compared with what `landing` has taken in of them.

    Args:
        root: the watched folder; hidden files are not looked at, nor those under the names
            that transfer programs give to unfinished ones.
        settle: seconds for which a file must not have changed, by the clock of its own file
            system; an empty one twelve times as long.
        aside: where files go that were refused; None leaves them where they are.
        options: what a delivery must have been taken in with to count as known.
        ignored: tells names to leave out. clock, sleep: for tests.
    """

    def __init__(
        self,
        root: Path,
        landing: LandingZone,
        *,
        settle: float,
        aside: Path | None = None,
        options: Mapping[str, str | None] | None = None,
        ignored: Callable[[str], bool] = lambda name: False,
        clock: Callable[[Path], int] = time_at,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.root = Path(absolute(root))
        self._landing = landing
        self._settle = settle
        self._aside = aside
        self._options = dict(options or {})
        self._ignored = ignored
        self._clock = clock
        self._sleep = sleep
        name = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:16]
        self._folder = landing.root / "checkpoints"
        self._lock = self._folder / f"{name}.lock"
        self._checkpoint = Checkpoint(self._folder / f"{name}.jsonl", str(self.root), self._options)

    # looking ---------------------------------------------------------------------------------

    def changes(self, last_seen: Mapping[str, str] | None = None) -> Changes:
        """What is new, changed or gone. Stats files and opens none but the checkpoint.

        `last_seen` is `unsure` of the look before. Without a usable checkpoint every file
        counts as ready; `load` then finds out what is known.
        """
        known = self._checkpoint.read()
        look = self._look(known.entries, last_seen or {})
        return look.changes(self.root, self._notes(known))

    def _look(self, entries: Mapping[str, Entry], last_seen: Mapping[str, str]) -> Look:
        began, now = time.monotonic(), self._clock(self.root)
        found = listing(self.root, self._ignored)
        look = Look(found, began)
        look.compare(entries, self._landing.folders(), now, self._settle, last_seen)
        return look

    def _notes(self, known: Known) -> tuple[str, ...]:
        path = self._checkpoint.path
        if known.usable and known.damaged:
            note = (
                f"{known.damaged} lines of {path} cannot be read; their files are looked at again"
            )
        elif not known.usable and self._landing.folders():
            note = (
                f"the checkpoint {path} is missing, damaged or of an older version; it is made"
                " anew from what the landing zone holds"
            )
        else:
            return ()
        return (note,)

    # taking in -------------------------------------------------------------------------------

    def load(
        self,
        take_in: Callable[[Path], Iterable[Result]],
        refusal: Callable[[Result], NgsimAssetsError | None],
        *,
        on_wait: Callable[[str], None] = lambda why: None,
    ) -> Iterator[Loaded[Result] | Gone | Postponed]:
        """Take in each file that is ready, one after the other, then tell those that are gone.

        A file is checkpointed when the next result is asked for: who has dealt with what was
        handed over by then loses nothing when killed, since the next call takes up at the file
        that was not finished, and hands over again what the landing zone knows of it already.
        Files that are settling are waited for, once and not longer than `settle`.

        Args:
            take_in: takes a file into the landing zone; what it delivered, or why it did not.
            refusal: the error that a result stands for, if it does.
            on_wait: told why, before waiting for another process or for files to settle.

        A file all of whose results are refusals is moved aside, with the reason. Raises what
        `take_in` raises; DiskFull and ReadOnlyLake where the checkpoint cannot be written.
        """
        with self._alone(on_wait):
            self._landing.forget_removed()
            journal = self._open()
            tried: set[str] = set()
            look = self._look(journal.entries, {})
            yield from self._take_all(look, journal, take_in, refusal, tried)
            if self._await(look, on_wait):
                look = self._look(journal.entries, look.unsure)
                yield from self._take_all(look, journal, take_in, refusal, tried)
            for name in sorted({*look.settling, *look.unsure}):
                yield Postponed(self.root / name, "it changed a moment ago")
            for name in look.never_held:
                journal.add(name, Entry("gone", _NEVER), durably=False)
            yield from self._report_gone(look.gone, journal)

    def _open(self) -> Journal:
        known = self._checkpoint.read()
        if not known.usable:
            known = Known(self._delivered())
        return self._checkpoint.opened(known)

    def _delivered(self) -> dict[str, Entry]:
        """What the landing zone's manifests know of the folder."""
        entries: dict[str, Entry] = {}
        found = listing(self.root, self._ignored).files
        for file in self._landing.files():
            agrees = all(file.options.get(name) == said for name, said in self._options.items())
            for claim in file.claims:
                name = self._name(claim.path)
                if name is None:
                    continue
                state = found.get(name)
                whole = agrees and not self._landing.is_unfinished(claim.path)
                if not whole or state is None or not state.agrees(claim.state):
                    state = _NEVER
                before = entries.get(name, Entry("taken", state))
                if before.state != state:
                    state = _NEVER
                entries[name] = Entry("taken", state, (*before.tied, file.folder))
        return entries

    def _name(self, path: str) -> str | None:
        """`path` below the watched folder, None if it is not there."""
        top = os.path.join(self.root, "")  # noqa: PTH118  # the separator is what matters
        return path[len(top) :] if path.startswith(top) else None

    def _take_all(
        self,
        look: Look,
        journal: Journal,
        take_in: Callable[[Path], Iterable[Result]],
        refusal: Callable[[Result], NgsimAssetsError | None],
        tried: set[str],
    ) -> Iterator[Loaded[Result] | Postponed]:
        for _, _, name in look.ready:
            if name not in tried:
                tried.add(name)
                yield from self._take(name, look.found.files[name], journal, take_in, refusal)

    def _take(
        self,
        name: str,
        listed: FileState,
        journal: Journal,
        take_in: Callable[[Path], Iterable[Result]],
        refusal: Callable[[Result], NgsimAssetsError | None],
    ) -> Iterator[Loaded[Result] | Postponed]:
        path = self.root / name
        state = _state_of(path)
        if state is None:
            return
        if state != listed:
            yield Postponed(path, "it is still changing")
            return
        before = journal.entries.get(name)
        lost = frozenset(before.tied if before and before.outcome == "begun" else ())
        held = {key for file in self._landing.held_by(path) for key in file.partitions} | lost
        begun = Entry("begun", state, tuple(sorted(held)))
        journal.add(name, begun, durably=bool(held))
        results = tuple(take_in(path))
        errors = [error for result in results if (error := refusal(result)) is not None]
        refused = bool(errors) and len(errors) == len(results)
        wait = self._why_wait(path, state, errors, refused=refused)
        if wait:
            if not refused:
                yield Loaded(path, results, lost=lost)
            if _state_of(path) is not None:
                yield Postponed(path, wait)
            return
        if refused:
            aside = self._move_aside(path, name, errors)
            yield Loaded(path, results, aside, lost)
            journal.add(name, Entry("refused" if aside is None else "aside", state))
        else:
            folders = tuple(file.folder for file in self._landing.held_by(path))
            yield Loaded(path, results, lost=lost)
            journal.add(name, Entry("taken", state, folders))

    def _why_wait(
        self, path: Path, state: FileState, errors: Sequence[NgsimAssetsError], *, refused: bool
    ) -> str:
        """Why errors may not be the file's own fault, empty if they are."""
        if not errors:
            return ""
        if _state_of(path) != state:
            return "it changed while it was being read"
        for error in errors:
            if isinstance(error, FileStillChanging) or _may_pass(error):
                return error.problem
        if refused and is_being_written(path):
            return f"some program is still writing it; so far, {errors[0].problem}"
        return ""

    def _move_aside(self, path: Path, name: str, errors: Sequence[NgsimAssetsError]) -> Path | None:
        if self._aside is None or any(_errno(error) is not None for error in errors):
            return None
        told = "\n\n".join(f"{error.problem}\n{error.fix}" for error in errors)
        reason = f"{path}\nwas not taken in:\n\n{told}\n"
        target = move_aside(path, self._aside, name, reason)
        if target is not None:
            self._landing.note_aside(path, target)
        return target

    def _report_gone(self, gone: Mapping[str, Entry], journal: Journal) -> Iterator[Gone]:
        for name, entry in sorted(gone.items()):
            path = self.root / name
            held = {key for file in self._landing.held_by(path) for key in file.partitions}
            yield Gone(path, tuple(sorted(held)))
            journal.add(name, Entry("gone", entry.state), durably=False)

    def _await(self, look: Look, on_wait: Callable[[str], None]) -> bool:
        """Wait until settling files can be complete; whether it is worth looking again."""
        rests = [rest for rest in look.settling.values() if rest <= self._settle]
        if look.unsure:
            rests.append(self._settle)
        if not rests:
            return False
        left = max(rests) + _CLOCK_STEP - (time.monotonic() - look.began)
        if left > 0:
            on_wait(f"{len(rests)} files changed a moment ago; looking again in {left:.0f} s")
            self._sleep(left)
        return True

    @contextmanager
    def _alone(self, on_wait: Callable[[str], None]) -> Iterator[None]:
        with writing(self._lock):
            make_folder(self._folder)
            lock = self._lock.open("ab")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait(f"another process is taking in {self.root}; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def is_being_written(path: Path) -> bool:
    """Whether a program has `path` open for writing, as far as the file system tells.

    A read lease is refused then. Not every file system grants one, nor to everybody: then no.
    """
    try:
        with path.open("rb") as file:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    return False


def _state_of(path: Path) -> FileState | None:
    try:
        return FileState.of(path)
    except OSError:
        return None


def _errno(error: NgsimAssetsError) -> int | None:
    """What the operating system said, if it is the reason for `error`."""
    cause = error.__cause__
    return cause.errno if isinstance(cause, OSError) else None


def _may_pass(error: NgsimAssetsError) -> bool:
    # without permission, nothing changes until somebody changes the file's
    return _errno(error) not in (None, errno.EACCES, errno.EPERM)
