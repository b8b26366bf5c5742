"""A watched folder compared with what is known of it.

Belongs here: what counts as new, settled, unsure or gone. Does not belong here: finding files
(listing.py), what becomes of them (incremental.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ngsim_assets.acquisition.checkpoint import Entry
from ngsim_assets.acquisition.listing import FileState, Listing

# Who reserves a name with an empty file may take a while to write into it.
_EMPTY_WAITS = 12

_UNSURE_AT_ONCE = 100

_NS = 1_000_000_000


@dataclass(frozen=True)
class Changes:
    """What is different in a watched folder from what is known of it.

    Attributes:
        ready: new or changed files that are settled, in the order they are to be taken in.
        settling: files that changed too recently to be sure that they are complete.
        unsure: files whose times lie in the future, by what they look like: hand this back as
            `last_seen`, and those that look the same then are ready. A hundred at most.
        gone: files that were there and are not any more; each is told until `load` reported it.
        known: how many files need nothing.
        unreadable: folders that could not be looked into; nothing below them is called gone.
        notes: what is wrong with the checkpoint, for people.
        digest: stands for `ready`, in the states they are in, and `gone`; empty if both are.
    """

    ready: tuple[Path, ...] = ()
    settling: tuple[Path, ...] = ()
    unsure: Mapping[str, str] = field(default_factory=dict[str, str])
    gone: tuple[Path, ...] = ()
    known: int = 0
    unreadable: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()
    digest: str = ""

    @property
    def waiting(self) -> bool:
        """Whether there is anything for `load` to do."""
        return bool(self.digest)


@dataclass
class Look:
    """A folder compared with what is known of it; names are paths below the folder.

    `ready` in the order of taking in: what died before goes last, then the oldest content, since
    of two deliveries of the same rows the later one wins. `settling` by seconds still to wait.
    """

    found: Listing
    began: float
    ready: list[tuple[int, int, str]] = field(default_factory=list[tuple[int, int, str]])
    settling: dict[str, float] = field(default_factory=dict[str, float])
    unsure: dict[str, str] = field(default_factory=dict[str, str])
    gone: dict[str, Entry] = field(default_factory=dict[str, Entry])
    never_held: list[str] = field(default_factory=list[str])
    known: int = 0

    def compare(
        self,
        entries: Mapping[str, Entry],
        folders: Container[str],
        now: int,
        settle: float,
        last_seen: Mapping[str, str],
    ) -> None:
        """Tell the files apart.

        Args:
            entries: what is known. folders: the deliveries' folders that there are.
            now: in ns by the clock of the files. settle: in s. last_seen: `unsure` of the look
                before.
        """
        for name, state in self.found.files.items():
            entry = entries.get(name)
            if entry is not None and entry.covers(state, folders):
                self.known += 1
                continue
            rest = int(settle * _NS) * (1 if state.size else _EMPTY_WAITS)
            age = now - state.changed_ns
            tries = entry.tries if entry is not None and entry.state == state else 0
            if age >= rest or last_seen.get(name) == _looks(state):
                self.ready.append((tries, state.mtime_ns, name))
            elif age < -rest:
                self.unsure[name] = _looks(state)
            else:
                self.settling[name] = (rest - age) / _NS
        self.ready.sort()
        for name, entry in entries.items():
            if name not in self.found.files and self.found.tells_about(name):
                # of what was never taken in there is nothing to tell
                if entry.outcome == "begun" and not entry.tied:
                    self.never_held.append(name)
                else:
                    self.gone[name] = entry

    def changes(self, root: Path, notes: tuple[str, ...]) -> Changes:
        unsure = sorted(self.unsure)
        return Changes(
            ready=tuple(root / name for _, _, name in self.ready),
            settling=tuple(root / name for name in sorted(self.settling)),
            unsure={name: self.unsure[name] for name in unsure[:_UNSURE_AT_ONCE]},
            gone=tuple(root / name for name in sorted(self.gone)),
            known=self.known,
            unreadable=tuple(root / name for name in self.found.unreadable),
            notes=notes,
            digest=self._digest(),
        )

    def _digest(self) -> str:
        if not self.ready and not self.gone:
            return ""
        ready = sorted((name, *self.found.files[name]) for _, _, name in self.ready)
        text = json.dumps([ready, sorted(self.gone)])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _looks(state: FileState) -> str:
    text = ":".join(str(part) for part in state)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
