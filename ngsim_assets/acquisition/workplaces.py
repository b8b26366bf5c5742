"""Places where resources are fetched: one per resource, for one process at a time.

Belongs here: their folders, who holds one, what survives in it. Does not belong here: what is put
there by downloads (transfer/partfile.py) and by sources.

    <root>/<source>.<key>.<digest>/lock        held by who fetches
                                   kept.json   files that are in their place but not named yet
                                   files/      downloads under way
                                   work/       what the source makes of them

All of it survives a cancellation and a kill, and goes when the resource is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from ngsim_assets.storage.atomic import make_folder, sync_folder, write_atomically
from ngsim_assets.storage.errors import writing
from ngsim_assets.storage.locks import held

_KEPT = "kept.json"


@dataclass(frozen=True, slots=True)
class KeptAlready:
    """A download of a resource whose other files are still to come; see Artifact.

    Attributes:
        asked: address that was asked for. version: of the resource at that time.
    """

    asked: str
    version: str
    name: str
    sha256: str
    bytes: int
    url: str
    fetched_at: str
    headers: dict[str, str]


class Workplace:
    """The folder of one resource, held until `leave`; a context manager that leaves it."""

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self._lock: int | None = lock
        self._is_cleared = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Let others go on with what is there; where nothing is, the folder goes too."""
        if self._lock is not None:
            with suppress(OSError):
                if os.listdir(self.folder) == ["lock"]:  # noqa: PTH208  # names
                    self.clear()
            os.close(self._lock)
            self._lock = None

    def clear(self) -> None:
        """Remove everything: the resource is complete. It stays held until it is left."""
        if self._is_cleared:
            return  # by now the folder may be somebody else's
        self._is_cleared = True
        gone = self.folder.with_name(f".{uuid4().hex}")
        # at once, since others take the folder anew as soon as its lock is not there any more
        with suppress(FileNotFoundError):
            self.folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def part(self, url: str, name: str, *, lasting: bool) -> Path:
        """Folder of the download of `url` as `name`.

        Args:
            lasting: it is there after a power cut, too; what comes in a moment can come again.
        """
        folder = self.folder / "files" / _digest(url, name)
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            if lasting:
                for parent in (folder.parent, self.folder, self.folder.parent):
                    sync_folder(parent)
        return folder

    def work(self, version: str) -> Path:
        """Folder for what is made of `version`; what was made of another one is removed."""
        folder = self.folder / "work" / _digest(version)
        with writing(folder):
            make_folder(folder)
            for other in folder.parent.iterdir():
                if other != folder:
                    shutil.rmtree(other, ignore_errors=True)
        return folder

    def kept(self) -> list[KeptAlready]:
        """Downloads that are in their place, though the resource is not complete."""
        return _kept(self.folder / _KEPT)

    def note(self, news: Sequence[KeptAlready]) -> None:
        """Remember that downloads are in their places."""
        known = {(item.asked, item.name): item for item in (*self.kept(), *news)}
        content = json.dumps([asdict(item) for item in known.values()], indent=1)
        write_atomically(self.folder / _KEPT, content)


class Workplaces:
    """All workplaces below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def take(self, source: str, key: str) -> Workplace | None:
        """The place of a resource, None if somebody holds it."""
        readable = f"{source}.{key}".replace("/", ".")[:100]
        return _taken(self.root / f"{readable}.{_digest(source, key)}")

    def named(self) -> set[tuple[str, str]]:
        """Content and name of files that wait here to be named by a manifest."""
        return {
            (item.sha256, item.name)
            for path in self.root.glob(f"*/{_KEPT}")
            for item in _kept(path)
        }

    def sweep(self, untouched_for: float) -> Iterator[tuple[Path, int]]:
        """Remove what nobody has touched for so many seconds; paths and their bytes."""
        before = time.time() - untouched_for
        for folder in sorted(self.root.glob("*")):
            states = list(_states(folder))
            if max((state.st_mtime for state in states), default=0) > before:
                continue
            place = _taken(folder)
            if place is not None:
                with place:
                    place.clear()
                yield folder, sum(state.st_blocks * 512 for state in states)


def _kept(path: Path) -> list[KeptAlready]:
    """What is written at `path`, nothing where it cannot be read: then it is fetched again."""
    try:
        return [KeptAlready(**item) for item in json.loads(path.read_bytes())]
    except (OSError, ValueError, TypeError):
        return []


def _taken(folder: Path) -> Workplace | None:
    with writing(folder):
        lock = held(folder / "lock")
    return Workplace(folder, lock) if lock is not None else None


def _states(folder: Path) -> Iterator[os.stat_result]:
    for path in (folder, *folder.rglob("*")):
        with suppress(FileNotFoundError):
            yield path.lstat()


def _digest(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]
