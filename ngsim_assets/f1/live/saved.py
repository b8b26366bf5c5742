"""What a live session leaves in its folder: where it stands, who receives it, how it does.

    <live>/<session>/<stream>.txt   the recording
    <live>/<session>/live.json      which recording, and from which line on which stream
    <live>/<session>/health.json    how it does, written every other second
    <live>/<session>/lock           locked by the process that receives it

Belongs here: these files. Does not belong here: what is in them beyond that (health.py).
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

from ngsim_assets.f1.errors import BadState
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.live.errors import SessionIsLive
from ngsim_assets.settings import Settings
from ngsim_assets.storage.atomic import make_folder, write_atomically
from ngsim_assets.storage.errors import writing

HEALTH: Final = "health.json"
_SAVED: Final = "live.json"
_LOCK: Final = "lock"
_VERSION: Final = 1


@dataclass(slots=True)
class Saved:
    """Where a session stands.

    Attributes:
        token: tells this receiving of the session from every other one.
        recording: name of its file.
        streams: name of each stream it was received from, with the line of the recording that was
            its first.
        completed: whether it is over and was taken in: what comes then is received anew.
    """

    token: str
    recording: str
    streams: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    completed: bool = False

    @classmethod
    def new(cls, stream: str) -> Saved:
        """Of a session that is received for the first time."""
        return cls(uuid4().hex, f"{stream}.txt")

    @classmethod
    def read(cls, folder: Path) -> Saved | None:
        """What was saved, None if nothing was. Raises BadState."""
        path = folder / _SAVED
        try:
            told = json.loads(path.read_bytes())
            if told["version"] != _VERSION:
                raise BadState(str(path), f"its version is not {_VERSION}")
            streams = [(str(name), int(row)) for name, row in told["streams"]]
            return cls(told["token"], told["recording"], streams, bool(told["completed"]))
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise BadState(str(path), str(error)) from None

    def write(self, folder: Path) -> None:
        """Save it, whole or not at all."""
        write_atomically(folder / _SAVED, json.dumps({"version": _VERSION, **asdict(self)}))

    def received(self, stream: str, rows: int) -> int:
        """How many lines of a stream are in a recording of so many; begins it if it is new."""
        if not self.streams or self.streams[-1][0] != stream:
            self.streams.append((stream, rows + 1))
        return rows + 1 - self.streams[-1][1]


def folder_of(settings: Settings, key: SessionKey) -> Path:
    """Where a session that is received is kept."""
    return settings.f1_live_sessions / str(key)


@contextmanager
def receiving(folder: Path, session: str) -> Generator[None]:
    """Be the process that receives a session; SessionIsLive if another one is."""
    path = folder / _LOCK
    with writing(path):
        make_folder(folder)
        lock = path.open("ab")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SessionIsLive(session) from None
        yield


def is_received(folder: Path) -> bool:
    """Whether a living process receives the session of a folder."""
    with suppress(OSError), (folder / _LOCK).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def live_folders(settings: Settings) -> list[Path]:
    """Folders of sessions that are or were received, by name."""
    return sorted(path.parent for path in settings.f1_live_sessions.glob(f"*/{_SAVED}"))
