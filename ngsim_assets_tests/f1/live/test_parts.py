"""Parts of a live session by themselves: recordings, replays, tails, the hub's process, states."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from ngsim_assets.f1.live.errors import CannotReplay, LiveSwitchedOff, SessionIsLive, StreamLost
from ngsim_assets.f1.live.hub import Hub
from ngsim_assets.f1.live.inboxes import Inbox
from ngsim_assets.f1.live.naming import session_of
from ngsim_assets.f1.live.recording import Recording
from ngsim_assets.f1.live.replay import SimulatedStream, replay
from ngsim_assets.f1.live.saved import is_received, receiving
from ngsim_assets.f1.live.state import Course, SessionState
from ngsim_assets.f1.live.tailing import Tail
from ngsim_assets.f1.reading import feed_lines, recordings
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.simulate import simulate_to
from ngsim_assets.f1.sources.errors import FastF1Missing
from ngsim_assets.f1.telemetry.buffer import WallClock
from ngsim_assets.settings import Settings
from ngsim_assets_tests.f1.live.scenes import KEY, SCENARIO, SPAN, lines


async def some(told: AsyncGenerator[bytes], most: int | None = None) -> list[bytes]:
    found: list[bytes] = []
    async for line in told:
        found.append(line)
        if len(found) == most:
            await told.aclose()
            break
    return found


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("feed")
    simulate_to(folder, SCENARIO, telemetry=SPAN)
    return folder / str(KEY)


def test_a_folder_is_replayed_as_the_hub_would_have_told_it(feed: Path, tmp_path: Path) -> None:
    told = asyncio.run(some(replay(feed).lines()))
    recording = tmp_path / "told.txt"
    recording.write_bytes(b"".join(told))
    read = recordings.read_file(recording, str(KEY))
    assert not read.aside
    parts = [r for _, r in feed_lines.read_folder(feed, str(KEY))]
    assert len(read.messages) == sum(len(part.messages) for part in parts) == len(lines())
    moments = [message.utc for message in read.messages if message.utc is not None]
    assert len(moments) == len(told)
    assert moments == sorted(moments)
    # the same payloads, each topic in its order; time by the clock of the session
    for part in parts:
        of_topic = [m for m in read.messages if m.topic == part.messages[0].topic]
        assert [m.payload for m in of_topic] == [m.payload for m in part.messages]
    assert asyncio.run(some(replay(feed).lines(after=30), 3)) == told[30:33]
    assert asyncio.run(some(SimulatedStream(SCENARIO, telemetry=SPAN).lines())) == list(lines())


def test_a_recording_is_replayed_byte_for_byte_at_a_speed(tmp_path: Path) -> None:
    path = tmp_path / "spa.txt"
    path.write_bytes(b"".join(lines()) + b"['TrackStatus', {'Sta")
    assert b"".join(asyncio.run(some(replay(path).lines()))) == path.read_bytes()

    async def timed() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await some(replay(path, speed=3_000).lines())
        return loop.time() - began

    assert 0.3 <= asyncio.run(timed()) < 5


def test_lines_that_are_no_messages_are_replayed_too(tmp_path: Path) -> None:
    (tmp_path / "TrackStatus.jsonStream").write_bytes(
        b'\xef\xbb\xbf00:00:01.000{"Status":"1"}\r\nnonsense\r\n00:00:09.000{"Sta'
    )
    (tmp_path / "Heartbeat.jsonStream").write_bytes(
        b'00:00:05.000{"Utc":"2026-07-19T13:00:05.000Z"}\r\n'
    )
    told = asyncio.run(some(replay(tmp_path).lines()))
    assert told == [
        b'["TrackStatus",{"Status":"1"},"2026-07-19T13:00:01.0000000Z"]\n',
        b"nonsense\n",
        b'["Heartbeat",{"Utc":"2026-07-19T13:00:05.000Z"},"2026-07-19T13:00:05.0000000Z"]\n',
        b'["TrackStatus",{"Sta,"2026-07-19T13:00:09.0000000Z"]\n',
    ]


@pytest.mark.parametrize("what", ["nothing", "empty", "two", "timeless", "pipes"])
def test_what_is_no_session_cannot_be_replayed(what: str, tmp_path: Path) -> None:
    if what == "two":
        for name in "ab":
            (tmp_path / name).mkdir()
            (tmp_path / name / "TrackStatus.jsonStream").write_bytes(b"")
    if what == "timeless":
        (tmp_path / "TrackStatus.jsonStream").write_bytes(b'00:00:01.000{"Status":"1"}\r\n')
    if what == "pipes":  # which nobody writes to: whoever opened one would wait for ever
        os.mkfifo(tmp_path / "TrackStatus.jsonStream")
        os.mkfifo(tmp_path / "a.txt")
        with pytest.raises(CannotReplay):
            replay(tmp_path / "a.txt")
    with pytest.raises(CannotReplay):
        asyncio.run(some(replay(tmp_path / "x" if what == "nothing" else tmp_path).lines()))


def test_a_recording_goes_on_after_a_line_that_a_kill_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "x" / "a.txt"
    first = Recording(path)
    assert [first.write(b"one\n"), first.write(b"two\n")] == [1, 2]
    assert path.read_bytes() == b""  # some lines are written together
    assert list(first.lines()) == [b"one\n", b"two\n"]
    first.write(b"thr")
    first.close()
    second = Recording(path)
    assert (second.rows, second.repaired) == (2, 3)
    second.write(b"cut")
    second.write(b"four\n")
    second.close()
    assert path.read_bytes() == b"one\ntwo\ncut\nfour\n"


def test_a_tail_follows_a_file_that_grows_and_tells_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "growing.txt"

    async def scene() -> list[bytes]:
        listening = asyncio.create_task(some(Tail(path, poll=0.01).lines(after=1), 3))
        for part in (b"a\nb\nc", b"c\n", b"d\n"):
            await asyncio.sleep(0.03)
            with path.open("ab") as file:
                file.write(part)
        return await asyncio.wait_for(listening, 5)

    assert asyncio.run(scene()) == [b"b\n", b"cc\n", b"d\n"]

    async def shorter() -> None:
        told = Tail(path, poll=0.01).lines()
        await anext(told)
        path.write_bytes(b"a\n")
        await some(told)

    with pytest.raises(StreamLost):
        asyncio.run(shorter())


WRITER = """
import sys, time
source, times, file = sys.argv[1:]
lines = open(source, "rb").readlines()
try:
    done = open(file, "rb").read().count(b"\\n")
except FileNotFoundError:
    done = 0
with open(file, "ab") as out:
    part = len(lines) // int(times) + 1
    out.write(b"".join(lines[done : done + part]))
print("connection closed, access_token=abc.def", file=sys.stderr)
sys.exit(3)
"""


def test_the_hub_is_behind_a_switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LiveSwitchedOff, match="NGSIM_F1_LIVE"):
        Hub(Settings(data=tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FastF1Missing):
        Hub(Settings(data=tmp_path, f1_live=True))


def test_the_client_of_the_hub_is_started_again_when_it_dies(tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    source.write_bytes(b"".join(lines()[:40]))
    writer = (sys.executable, "-S", "-c", WRITER, str(source), "2")

    async def scene() -> tuple[Hub, list[bytes], str]:
        hub = Hub(
            Settings(data=tmp_path, f1_live=True),
            writer=writer,
            restarts=1,
            first_wait=0.01,
            poll=0.01,
        )
        try:
            assert await session_of(hub, 10) == KEY
            told = await some(hub.lines(), 40)
            with pytest.raises(StreamLost) as lost:
                await some(hub.lines(after=40))
        finally:
            await hub.close()
        return hub, told, lost.value.problem

    hub, told, problem = asyncio.run(scene())
    assert told == list(lines()[:40])
    assert "in vain" in problem
    assert len(hub.notes) == 4  # two that wrote, two in vain
    assert all(
        note.endswith("ended with 3: connection closed, access_token=...") for note in hub.notes
    )


def test_an_inbox_waits_for_room_and_counts_what_it_drops() -> None:
    message = Message("x", "TrackStatus", 1, None, {}, "{}", "f", 1)

    async def scene() -> None:
        inbox = Inbox(4, 0.02, WallClock())
        puts = [await inbox.put(message) for _ in range(6)]
        assert puts == [True] * 4 + [False] * 2  # the first waited, the second did not
        assert len(await inbox.take(3, None)) == 3
        assert await inbox.put(message)
        assert (inbox.accepted, inbox.dropped, len(inbox)) == (5, 2, 2)
        patient = Inbox(1, None, WallClock())
        await patient.put(message)
        waiting = asyncio.create_task(patient.put(message))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        assert await patient.take(9, None) == [message]
        assert await waiting
        patient.refuse()
        assert (patient.accepted, patient.dropped, patient.over) == (1, 1, True)
        assert await patient.take(9, None) == []

    asyncio.run(scene())


def test_a_session_is_where_its_statuses_say() -> None:
    course = Course()
    seen: list[tuple[str, bool]] = []
    for status in (
        "Inactive",
        "Started",
        "Aborted",
        "Inactive",
        "Resumed",
        "Finished",
        "Inactive",
        "Started",
        "Finished",
        "Finalised",
        "Ends",
    ):
        course.take(status, None)
        seen.append((course.state.value, course.suspended))
    before, active, post = ("PRE_SESSION", False), ("ACTIVE", False), ("POST_SESSION", False)
    assert seen == [
        before,
        active,
        ("ACTIVE", True),
        ("ACTIVE", True),
        active,
        post,
        post,
        active,
        post,
        post,
        ("COMPLETED", False),
    ]
    assert course.started
    assert Course().state is SessionState.PRE_SESSION


def test_a_session_is_received_by_one_process(tmp_path: Path) -> None:
    assert not is_received(tmp_path)
    with receiving(tmp_path, str(KEY)):
        assert is_received(tmp_path)
        with pytest.raises(SessionIsLive), receiving(tmp_path, str(KEY)):
            pass
    assert not is_received(tmp_path)
