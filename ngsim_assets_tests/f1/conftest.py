"""Real sessions, read and folded once for all tests that look at them."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path

import pytest

from ngsim_assets.f1.clock import SessionClock, clock_of
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading.feed_lines import read_folder
from ngsim_assets.f1.reading.messages import Message, Reading
from ngsim_assets.f1.sessions import SessionInfo, of_messages
from ngsim_assets.f1.timing.closing import ClosedLap
from ngsim_assets.f1.timing.session import Folded, SessionFold, SessionTables, in_order_of_time


@dataclass(frozen=True)
class RealSession:
    """One session of the archive: lines, messages and what they fold to."""

    folder: Path
    readings: dict[str, Reading]
    messages: list[Message]
    info: SessionInfo
    clock: SessionClock | None
    origin: Origin
    closed: list[ClosedLap]
    tables: SessionTables
    folded: Folded


@pytest.fixture(scope="session")
def f1_data(real_data: Path) -> Path:
    """Folder of real Formula 1 feeds; tests that need it skip where it is absent."""
    folder = real_data / "f1"
    if not (folder / "livetiming").is_dir():
        pytest.skip(f"no real feeds at {folder}: set NGSIM_REAL_DATA to run this test")
    return folder


@pytest.fixture(scope="session")
def real_sessions(f1_data: Path) -> dict[str, RealSession]:
    """Every session of the archive by its key."""
    folders = sorted({path.parent for path in f1_data.glob("livetiming/*/*/*/*.jsonStream")})
    # millions of small objects that all stay: looking for rubbish among them takes a quarter of it
    gc.disable()
    try:
        sessions = [_session(folder) for folder in folders]
    finally:
        gc.enable()
    return {str(session.info.key): session for session in sessions}


def _session(folder: Path) -> RealSession:
    readings = dict(read_folder(folder, folder.name))
    messages = [message for reading in readings.values() for message in reading.messages]
    info = of_messages(messages)
    assert info is not None
    clock = clock_of(messages, info)
    origin = Origin(info.key, "livetiming")
    fold = SessionFold(origin, clock=clock)
    closed = [*fold.take(in_order_of_time(messages, clock)), *fold.finish()]
    return RealSession(
        folder, readings, messages, info, clock, origin, closed, fold.drain(), fold.account
    )
