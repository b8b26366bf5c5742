"""The watched folder of sessions: what waits in it, and taking that in, each thing once.

What is taken in together is a recording, or a folder whose files are parts of sessions: the topics
of the archive, the responses of OpenF1. A file that changes lets its folder wait or come again.
Nothing is moved: what is taken in stays where it is, and so does what is refused, which is left
alone from then on until it changes.

Belongs here: what is one arrival, whether it is complete, what is remembered of it. Does not belong
here: what tells a file as changed (acquisition/looking.py), what is in it (taking_in.py), Dagster.
"""

from __future__ import annotations

import fcntl
import hashlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final, Generic, Literal, TypeVar

from ngsim_assets.acquisition.checkpoint import Checkpoint, Entry, Journal, Known
from ngsim_assets.acquisition.incremental import is_being_written
from ngsim_assets.acquisition.listing import FileState, listing, time_at
from ngsim_assets.acquisition.looking import Look
from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.f1.arrival.holdings import SESSION_SOURCES
from ngsim_assets.f1.reading.feed_lines import SUFFIX
from ngsim_assets.settings import Settings
from ngsim_assets.storage.atomic import make_folder
from ngsim_assets.storage.errors import writing

Result = TypeVar("Result")
Outcome = Literal["taken", "refused"]

_PARTS: Final = (SUFFIX, ".json")
"""Endings of files that are parts of what their folder holds."""

_BESIDE: Final = (".parquet", "Index.json")
"""Ends the names of what lies beside sessions and is none: truth of simulations, lists of files."""

_READER: Final = {"reader": "1"}
"""Raised when files that were refused may be taken in now: all are looked at again."""

_CLOCK_STEP: Final = 0.02  # file systems stamp files with a clock that stands still up to 10 ms


@dataclass(frozen=True, slots=True)
class Arrival:
    """What is taken in together.

    Attributes:
        path: the recording, or the folder. files: those that belong to it, below the watched
            folder.
    """

    path: Path
    files: tuple[str, ...]

    @property
    def handed(self) -> list[Path]:
        """What to hand over: of the topics one stands for all."""
        if not self.is_folder:
            return [self.path]
        paths = [self.path / PurePath(name).name for name in self.files]
        topics = [path for path in paths if path.name.endswith(SUFFIX)]
        return [*topics[:1], *(path for path in paths if path not in topics)]

    @property
    def is_folder(self) -> bool:
        """Whether its files are parts of what their folder holds."""
        return PurePath(self.files[0]).suffix in _PARTS


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a look at the folder found.

    Attributes:
        ready: to be taken in. growing: arrivals of which something changed a moment ago.
        unsure: what files looked like whose times lie in the future, by name; hand it back with
            the next look. gone: of which nothing is left. known: files that need nothing.
        refused: files among them that were refused. unreadable: folders that could not be looked
            into; nothing below them is called gone.
        digest: stands for `ready` as it is, and `gone`; empty if both are.
    """

    ready: tuple[Arrival, ...]
    growing: int
    unsure: Mapping[str, str]
    gone: tuple[Path, ...]
    known: int
    refused: int
    unreadable: tuple[Path, ...]
    notes: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class Took(Generic[Result]):
    """An arrival that was handed over, and what was said of it."""

    arrival: Arrival
    results: tuple[Result, ...]
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Gone:
    """Something that is no longer there. What was taken in of it stays."""

    path: Path

    def sentence(self) -> str:
        """For people: one line."""
        return f"{self.path} is gone; what was taken in of it stays"


@dataclass(frozen=True, slots=True)
class Postponed:
    """An arrival that is not complete yet; it is looked at again the next time."""

    path: Path
    reason: str

    def sentence(self) -> str:
        """For people: one line."""
        return f"{self.path} waits: {self.reason}"


class Arrivals:
    """The folder `root`, and what is remembered of it in the folder `memory`.

    Args:
        settle: seconds for which no file of an arrival must have changed.
        sleep: for tests.
    """

    def __init__(
        self,
        root: Path,
        memory: Path,
        *,
        settle: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.root = root.absolute()
        self._settle = settle
        self._sleep = sleep
        name = hashlib.sha256(bytes(self.root)).hexdigest()[:16]
        self._lock = memory / f"{name}.lock"
        self._checkpoint = Checkpoint(memory / f"{name}.jsonl", str(self.root), dict(_READER))

    def waiting(self, last_seen: Mapping[str, str] | None = None) -> Waiting:
        """What there is to do; stats files and opens none but what is remembered.

        `last_seen` is `unsure` of the look before.
        """
        known = self._checkpoint.read()
        look = self._look(known.entries, last_seen or {})
        found = _sorted_out(self.root, look)
        changes = look.changes(self.root, ())
        note = f"{known.damaged} lines of {self._checkpoint.path} cannot be read; their files are "
        return Waiting(
            ready=tuple(found.ready),
            growing=len(found.growing),
            unsure=changes.unsure,
            gone=tuple(found.gone),
            known=changes.known,
            refused=sum(1 for entry in known.entries.values() if entry.outcome == "refused"),
            unreadable=changes.unreadable,
            notes=(f"{note}looked at again",) if known.damaged else (),
            digest=changes.digest if found.ready or found.gone else "",
        )

    def take_all(
        self,
        take: Callable[[Arrival], Iterable[Result]],
        is_refusal: Callable[[Result], bool],
        *,
        on_wait: Callable[[str], None] = lambda why: None,
    ) -> Iterator[Took[Result] | Gone | Postponed]:
        """Hand over each arrival that is ready, one after the other, then tell what is gone.

        One is remembered when the next result is asked for: who is killed before that is handed
        the same one again. Those that changed a moment ago are waited for, once.

        Args:
            take: takes a recording or a folder in; what came of it. is_refusal: whether a result
                says that nothing was taken in.
            on_wait: told why, before waiting.

        An arrival of which all is refused is remembered as refused. Raises what `take` raises;
        DiskFull and ReadOnlyLake where nothing can be remembered.
        """
        with self._alone(on_wait):
            known = self._checkpoint.read()
            journal = self._checkpoint.opened(known if known.usable else Known({}))
            tried: set[Path] = set()
            look, found = self._looked(journal)
            yield from self._take_ready(look, found, journal, take, is_refusal, tried)
            if self._await(look, on_wait):
                look, found = self._looked(journal)
                yield from self._take_ready(look, found, journal, take, is_refusal, tried)
            for path in found.growing:
                yield Postponed(path, "it changed a moment ago")
            for path in found.gone:
                yield Gone(path)
            for name, entry in look.gone.items():
                journal.add(name, Entry("gone", entry.state), durably=False)
            for name in look.never_held:
                journal.add(name, Entry("gone", FileState(-1, -1)), durably=False)

    def _looked(self, journal: Journal) -> tuple[Look, _Sorted]:
        look = self._look(journal.entries, {})
        return look, _sorted_out(self.root, look)

    def _take_ready(
        self,
        look: Look,
        found: _Sorted,
        journal: Journal,
        take: Callable[[Arrival], Iterable[Result]],
        is_refusal: Callable[[Result], bool],
        tried: set[Path],
    ) -> Iterator[Took[Result] | Postponed]:
        for arrival in found.ready:
            if arrival.path not in tried:
                tried.add(arrival.path)
                yield from self._take(arrival, look, journal, take, is_refusal)

    def _take(
        self,
        arrival: Arrival,
        look: Look,
        journal: Journal,
        take: Callable[[Arrival], Iterable[Result]],
        is_refusal: Callable[[Result], bool],
    ) -> Iterator[Took[Result] | Postponed]:
        states = {name: look.found.files[name] for name in arrival.files}
        if self._states(arrival.files) != states:
            yield Postponed(arrival.path, "it is still changing")
            return
        for name, state in states.items():
            journal.add(name, Entry("begun", state), durably=False)
        results = tuple(take(arrival))
        refused = all(is_refusal(result) for result in results)
        if self._states(arrival.files) != states:
            yield Postponed(arrival.path, "it changed while it was being read")
            return
        if refused and any(is_being_written(self.root / name) for name in arrival.files):
            yield Postponed(arrival.path, "some program is still writing it")
            return
        outcome: Outcome = "refused" if refused else "taken"
        yield Took(arrival, results, outcome)
        for place, (name, state) in enumerate(states.items(), start=1):
            journal.add(name, Entry(outcome, state), durably=place == len(states))

    def _states(self, names: Iterable[str]) -> dict[str, FileState | None]:
        return {name: _state_of(self.root / name) for name in names}

    def _look(self, entries: Mapping[str, Entry], last_seen: Mapping[str, str]) -> Look:
        began, now = time.monotonic(), time_at(self.root)
        look = Look(listing(self.root, lambda name: name.endswith(_BESIDE)), began)
        look.compare(entries, (), now, self._settle, last_seen)
        return look

    def _await(self, look: Look, on_wait: Callable[[str], None]) -> bool:
        """Wait until what is growing can be complete; whether it is worth looking again."""
        rests = [rest for rest in look.settling.values() if rest <= self._settle]
        if not rests:
            return False
        left = max(rests) + _CLOCK_STEP - (time.monotonic() - look.began)
        if left > 0:
            on_wait(f"{len(rests)} files changed a moment ago; looking again in {left:.0f} s")
            self._sleep(left)
        return True

    @contextmanager
    def _alone(self, on_wait: Callable[[str], None]) -> Generator[None]:
        with writing(self._lock):
            make_folder(self._lock.parent)
            lock = self._lock.open("ab")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait(f"another process is taking in {self.root}; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def arrivals_of(settings: Settings) -> Arrivals:
    """The folder that is watched."""
    return Arrivals(
        settings.f1_folder, settings.f1_sessions.parent / "arrivals", settle=settings.settle
    )


def state_of_deliveries(store: DownloadStore) -> str:
    """Stands for all that the store says of sessions, by names and times alone; empty if nothing.

    Whoever knew everything in this state knows everything now, by whichever way it was delivered.
    """
    manifests = (store.manifests / source for source in SESSION_SOURCES)
    told = [
        f"{path.relative_to(store.manifests)} {path.stat().st_mtime_ns}"
        for folder in manifests
        for path in sorted(folder.rglob("*.json"))
    ]
    text = "\n".join(told).encode(errors="surrogateescape")
    return hashlib.blake2b(text, digest_size=16).hexdigest() if told else ""


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Files of a look by what they belong to."""

    ready: list[Arrival]
    growing: list[Path]
    gone: list[Path]


def _sorted_out(root: Path, look: Look) -> _Sorted:
    members: dict[Path, list[str]] = {}
    for name in sorted(look.found.files):
        members.setdefault(_belongs_to(root, name), []).append(name)
    wait = {_belongs_to(root, name) for name in (*look.settling, *look.unsure)}
    due = dict.fromkeys(_belongs_to(root, name) for _, _, name in look.ready)
    lost = dict.fromkeys(_belongs_to(root, name) for name in sorted(look.gone))
    # one that lost a file and has others still is another content of itself
    due |= dict.fromkeys(path for path in lost if path in members)
    return _Sorted(
        ready=[Arrival(path, tuple(members[path])) for path in due if path not in wait],
        growing=sorted(wait),
        gone=[path for path in lost if path not in members],
    )


def _belongs_to(root: Path, name: str) -> Path:
    """The arrival that a file is of: its folder if it is a part of a session, else itself."""
    path = root / name
    return path.parent if PurePath(name).suffix in _PARTS else path


def _state_of(path: Path) -> FileState | None:
    try:
        return FileState.of(path)
    except OSError:
        return None
