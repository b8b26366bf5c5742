"""Live sessions from their first line to their final tables, whatever happens on the way."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.f1.errors import SessionUnknown
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.live.health import LiveHealth, read_health
from ngsim_assets.f1.live.ingestors import Timing
from ngsim_assets.f1.live.limits import Limits
from ngsim_assets.f1.live.live_tables import LIVE, LiveTables
from ngsim_assets.f1.live.orchestrator import IngestionOrchestrator, LiveResult
from ngsim_assets.f1.live.recording import Recording
from ngsim_assets.f1.live.session import LiveSession
from ngsim_assets.f1.live.streams import Lines, Stream
from ngsim_assets.f1.model import (
    F1_LAPS,
    F1_MESSAGES,
    F1_QUARANTINE,
    F1_RACE_CONTROL,
    F1_SESSION_STATUS,
    F1_TRACK_STATUS,
    F1_WEATHER,
)
from ngsim_assets.f1.neutralisations.model import F1_NEUTRALISATIONS
from ngsim_assets.f1.platform import F1Platform
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.sources.simulated import Simulated
from ngsim_assets.f1.stages import Stored, store_session
from ngsim_assets.f1.taking_in import take_in
from ngsim_assets.f1.telemetry.buffer import Bounds
from ngsim_assets.f1.telemetry.model import F1_POSITIONS, F1_TELEMETRY
from ngsim_assets.storage.errors import DiskFull
from ngsim_assets.storage.schema import Table
from ngsim_assets_tests.f1.live.scenes import KEY, QUICK, SCENARIO, SPAN, Stops, Told, lines

SMALL = (F1_LAPS, F1_TRACK_STATUS, F1_RACE_CONTROL, F1_SESSION_STATUS, F1_WEATHER)
LIVING = (*SMALL, F1_NEUTRALISATIONS, F1_TELEMETRY, F1_POSITIONS, F1_QUARANTINE)
FINAL = (*LIVING, F1_MESSAGES)
AMID_TELEMETRY, AMID_LAPS = 70, 160
"""Lines after which there are some of each."""


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pl.DataFrame]:
    """The tables of the session, out of its recording at once."""
    told = Told(tmp_path_factory.mktemp("batch"))
    path = told.settings.f1_folder / "a.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"".join(lines()))
    take_in(told.settings, [path])
    store_session(told.platform, KEY)
    return told.contents(FINAL)


def run(told: Told, stream: Stream, session: SessionKey | None = None) -> LiveResult:
    return asyncio.run(told.orchestrator.run_live_session(stream, session=session))


def as_in_batch(found: dict[str, pl.DataFrame], batch: dict[str, pl.DataFrame]) -> None:
    """Equal but for the place of the recording."""
    for name, rows in found.items():
        without = [c for c in ("source_file",) if c in rows.columns]
        assert_frame_equal(rows.drop(without), batch[name].drop(without))


def whole(health: LiveHealth) -> None:
    """Every line became something; nothing was lost on the way to the ingestors."""
    assert health.lines == health.messages + sum(health.aside.values())
    assert all(one.dropped == 0 and one.waiting == 0 for one in health.ingestors)


def of(health: LiveHealth, name: str) -> dict[str, object]:
    return next(one for one in health.summary()["ingestors"] if one["name"] == name)


@pytest.fixture
def unbuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """No final tables: the live ones stay to be looked at."""
    monkeypatch.setattr(
        "ngsim_assets.f1.live.orchestrator.IngestionOrchestrator._built", lambda *_: None
    )


def test_a_session_ends_in_the_tables_that_a_batch_makes_of_it(
    tmp_path: Path, batch: dict[str, pl.DataFrame]
) -> None:
    told = Told(tmp_path)
    result = run(told, Lines("a", lines()))
    assert (result.session, result.outcome, result.ok) == (KEY, "over", True)
    as_in_batch(told.contents(FINAL), batch)
    recording = told.folder / "a.txt"
    assert recording.read_bytes() == b"".join(lines())
    whole(result.health)
    assert [one.status for one in result.health.ingestors] == ["finished"] * 5
    assert result.health.state == "COMPLETED"
    assert told.said[:3] == [f"{KEY} is ACTIVE", f"{KEY} is POST_SESSION", f"{KEY} is COMPLETED"]
    (health,) = read_health(told.settings)
    assert (health.outcome, health.alive, health.healthy) == ("over", False, True)
    assert health.sentences()[-1] == "the session is over"
    # no live row is left, and what is built is not built again
    assert result.stored is not None
    commits = [told.platform.lake.current(table, {"session": str(KEY)}) for table in FINAL]
    assert all(commit is None or commit.provenance.code_version != LIVE for commit in commits)
    assert store_session(told.platform, KEY).up_to_date
    # the same session again is received anew, and comes to the same
    again = run(told, Lines("a", lines()))
    assert (again.outcome, again.health.resumed) == ("over", 0)
    assert again.health.lines == len(lines())
    as_in_batch(told.contents(FINAL), batch)


@pytest.mark.usefixtures("unbuilt")
def test_live_tables_hold_what_the_batch_holds_even_before_it_is_built(
    tmp_path: Path, batch: dict[str, pl.DataFrame]
) -> None:
    told = Told(tmp_path)
    result = run(told, Stops(AMID_TELEMETRY, lambda: None))  # takes a breath there
    as_in_batch(told.contents(LIVING), batch)
    lake = told.platform.lake
    assert [version.operation for version in lake.history(F1_TELEMETRY)].count("append") >= 1
    assert all(lake.verify(table) == [] for table in LIVING)
    telemetry = of(result.health, "telemetry")
    assert telemetry["rows"] == {
        table.name: batch[table.name].height for table in (F1_TELEMETRY, F1_POSITIONS)
    }
    assert of(result.health, "timing")["commits"] >= 4  # pyright: ignore[reportOperatorIssue]


@pytest.mark.parametrize("timing", [True, False])
def test_states_told_on_subscription_come_to_the_same_live_and_in_the_end(
    timing: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recorder that comes late writes down states without a time, and a frame of all of them."""
    live: dict[str, pl.DataFrame] = {}
    build = IngestionOrchestrator._built

    def seen(self: IngestionOrchestrator, session: LiveSession) -> Stored:
        live.update(told.contents(LIVING))
        return build(self, session)

    monkeypatch.setattr(IngestionOrchestrator, "_built", seen)
    topics = {line[2:].split(b"'")[0]: ast.literal_eval(line.decode()) for line in lines()[:20]}
    states = [
        f"{[topic, json.dumps(content), '']!r}\n".encode()
        for topic, content, _ in topics.values()
        if topic in ("SessionInfo", "DriverList")
    ]
    state = {topic: content for topic, content, _ in topics.values() if topic != "SessionInfo"}
    late = [*states, json.dumps({"R": state}).encode() + b"\n", *lines()[20:]]
    told = Told(tmp_path)
    result = run(told, Lines("a", [line for line in late if timing or b"TimingData" not in line]))
    assert (result.outcome, result.ok) == ("over", True)
    assert (live["f1_laps"].height > 0) == timing
    assert live["f1_neutralisations"].height > 0
    for name, rows in told.contents(LIVING).items():
        assert_frame_equal(live[name], rows)


def test_a_session_that_a_signal_stops_is_gone_on_with(
    tmp_path: Path, batch: dict[str, pl.DataFrame]
) -> None:
    told = Told(tmp_path)
    stream = Stops(AMID_LAPS, lambda: os.kill(os.getpid(), signal.SIGTERM))
    first = run(told, stream)
    assert (first.outcome, first.stored, first.ok) == ("stopped", None, True)
    assert first.health.state == "ACTIVE"
    assert "stopping: what was received is being stored" in told.said
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    half = told.rows(F1_LAPS).height
    assert 0 < half < batch["f1_laps"].height
    assert not told.platform.store.held("f1-local", str(KEY))
    (health,) = read_health(told.settings, KEY)
    assert "run the same command again" in health.sentences()[1]
    received = first.health.lines
    other = Told(tmp_path)
    result = run(other, stream)
    assert stream.asked[-1] == received
    assert (result.outcome, result.health.resumed) == ("over", received)
    whole(result.health)
    assert result.health.lines == len(lines())
    as_in_batch(other.contents(FINAL), batch)


CHILD = """
import asyncio, sys
from pathlib import Path
from ngsim_assets_tests.f1.live.scenes import Stops, Told
told = Told(Path(sys.argv[1]))
asyncio.run(told.orchestrator.run_live_session(Stops(int(sys.argv[2]))))
"""


def test_a_killed_process_is_gone_on_with_no_lap_twice_no_message_lost(
    tmp_path: Path, batch: dict[str, pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = AMID_LAPS
    told = Told(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(tmp_path), str(cut)])
    try:
        until = time.monotonic() + 60
        while not (told.rows(F1_LAPS).height and told.rows(F1_POSITIONS).height):
            assert time.monotonic() < until
            assert child.poll() is None
            time.sleep(0.02)
        (alive,) = read_health(told.settings)
        assert alive.alive
    finally:
        child.kill()
        child.wait()
    (dead,) = read_health(told.settings)
    assert (dead.alive, dead.healthy) == (False, False)
    with (told.folder / "a.txt").open("ab") as recording:
        recording.write(lines()[cut + 1][:30])  # as a kill leaves it
    with monkeypatch.context() as patch:
        patch.setattr(type(told.orchestrator), "_built", lambda *_: None)
        result = run(told, Lines("a", lines()))
    assert result.outcome == "over"
    assert 0 < result.health.resumed <= cut
    assert result.health.lines == len(lines())
    assert any("cut short by a kill" in note for note in result.health.notes)
    whole(result.health)
    as_in_batch(told.contents(LIVING), batch)
    assert (told.folder / "a.txt").read_bytes() == b"".join(lines())


class Broken(Timing):
    """Fails at a message, as often as it is told to."""

    failures = 0

    def take(self, message: Message) -> None:
        if message.topic == "TimingData" and type(self).failures:
            type(self).failures -= 1
            raise ZeroDivisionError("no way")
        super().take(message)


@pytest.mark.parametrize("failures", [1, 99])
def test_an_ingestor_that_raises_begins_again_and_then_is_given_up(
    failures: int, tmp_path: Path, batch: dict[str, pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Broken, "failures", failures)
    monkeypatch.setattr("ngsim_assets.f1.live.orchestrator.Timing", Broken)
    if failures == 1:
        monkeypatch.setattr(
            "ngsim_assets.f1.live.orchestrator.IngestionOrchestrator._built", lambda *_: None
        )
    told = Told(tmp_path)
    result = run(told, Lines("a", lines()))
    health = result.health
    timing = of(health, "timing")
    others = [one for one in health.ingestors if one.name != "timing"]
    assert all(one.status == "finished" and not one.restarts for one in others)
    as_in_batch(told.contents((F1_WEATHER, F1_TELEMETRY, F1_POSITIONS)), batch)
    assert timing["last_error"] == "ZeroDivisionError: no way"
    if failures == 1:
        assert (timing["status"], timing["restarts"], health.healthy) == ("finished", 1, True)
        as_in_batch(told.contents(LIVING), batch)
    else:
        assert (timing["status"], timing["restarts"], health.healthy) == ("failed", 3, False)
        assert any("timing failed after 3 restarts" in told for told in health.sentences())
        assert isinstance(timing["dropped"], int)
        assert timing["dropped"] > 0
        # what was received is whole, and so are the final tables
        assert (result.outcome, result.ok, result.problem) == ("over", False, "")
        as_in_batch(told.contents(FINAL), batch)


@pytest.mark.usefixtures("unbuilt")
@pytest.mark.parametrize("patience", [None, 0.0])
def test_a_slow_store_makes_the_stream_wait_or_costs_messages_that_are_counted(
    patience: float | None,
    tmp_path: Path,
    batch: dict[str, pl.DataFrame],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def slow(self: LiveTables, table: Table, frame: pl.DataFrame) -> None:
        time.sleep(0.02)
        as_it_is(self, table, frame)

    as_it_is = LiveTables._replace
    monkeypatch.setattr(LiveTables, "_replace", slow)
    limits = Limits(
        queue=20,
        patience=patience,
        tables=Bounds(batch_rows=200, batch_seconds=0.05),
        telemetry=QUICK.telemetry,
        pause=0.0,
    )
    told = Told(tmp_path, limits)
    health = run(told, Lines("a", lines())).health
    dropped = sum(one.dropped for one in health.ingestors)
    assert (told.folder / "a.txt").read_bytes() == b"".join(lines())
    if patience is None:
        whole(health)
        as_in_batch(told.contents(LIVING), batch)
    else:
        assert dropped > 0
        assert not health.healthy
        assert any("had no room for" in sentence for sentence in health.sentences())


class FailsOnce:
    """A second home that is away for a moment."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.calls = 0
        self.copied = ""

    def put(
        self,
        table: Table,
        key: SessionKey,
        frame: pl.DataFrame,
        *,
        replaces: bool = True,
        version: str = "",
    ) -> None:
        assert version
        self.calls += 1
        if self.calls == 1:
            raise NgsimAssetsError("the server went away", "start it")
        self.rows[table.name] = frame.height + (0 if replaces else self.rows.get(table.name, 0))

    def copy_session(self, platform: F1Platform, key: SessionKey) -> None:
        self.copied = str(key)


@pytest.mark.parametrize("away", [0.0, 60.0])
def test_rows_go_to_a_second_home_and_nothing_waits_for_one_that_is_away(
    away: float, tmp_path: Path, batch: dict[str, pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = FailsOnce()
    told = Told(tmp_path, replace(QUICK, away=away), second_home=home)
    if away:
        health = run(told, Lines("a", lines())).health
        assert home.calls < 9  # those that were under way
        assert (health.second_home, home.copied) == ("ok", str(KEY))  # the final tables
    else:
        monkeypatch.setattr(type(told.orchestrator), "_built", lambda *_: None)
        health = run(told, Lines("a", lines())).health
        assert health.second_home == "ok"
        assert home.rows["f1_positions"] == batch["f1_positions"].height
        assert home.rows["f1_laps"] == batch["f1_laps"].height
    whole(health)


def test_a_feed_that_dies_is_told_and_what_came_is_stored(tmp_path: Path) -> None:
    told = Told(tmp_path, Limits(silence=0.3, tables=QUICK.tables, pause=0.01, told=0.05))
    result = run(told, Stops(len(lines()) // 2))
    assert (result.outcome, result.ok) == ("feed_died", False)
    assert result.health.lines == len(lines()) // 2
    assert "the feed died: nothing came from it for too long" in result.health.sentences()
    assert result.stored is not None
    assert told.rows(F1_MESSAGES).height == result.health.messages
    # it comes back: what is missing is received, and the tables are those of all of it
    back = run(told, Lines("a", lines()))
    assert (back.outcome, back.health.resumed) == ("over", len(lines()) // 2)
    assert told.rows(F1_MESSAGES).height == len(lines())


def test_a_session_that_never_starts_is_told(tmp_path: Path) -> None:
    told = Told(tmp_path, Limits(to_come=0.3, tables=QUICK.tables, pause=0.01, told=0.05))
    result = run(told, Stops(10))
    assert (result.outcome, result.health.state, result.ok) == (
        "never_started",
        "PRE_SESSION",
        False,
    )
    assert told.rows(F1_LAPS).is_empty()


def test_garbage_is_set_aside_with_its_reasons_and_everything_else_is_as_without(
    tmp_path: Path, batch: dict[str, pl.DataFrame]
) -> None:
    garbage = [
        b"nonsense\n",
        b"\xff\xfe\n",
        b"['NoSuchTopic', {'a': 1}, '2026-07-19T13:00:00.0000000Z']\n",
        b"['TimingData', {'Lines': '2026-07-19T13\n",
        b"['CarData.z', 'AAAA', '2026-07-19T13:00:00.0000000Z']\n",
        b"__import__('os').system('true')\n",
        b"{}\n",
        lines()[100],
    ]
    mixed = [*lines()[:101], *garbage, *lines()[101:], lines()[60][:-20]]
    told = Told(tmp_path)
    result = run(told, Lines("a", mixed))
    assert sum(result.health.aside.values()) == len(garbage) + 1
    assert {"damaged_json", "not_text", "unknown_topic", "duplicate"} <= set(result.health.aside)
    whole(result.health)
    found = told.contents(SMALL)
    for name, rows in found.items():
        without = ["source_file", "source_row"]
        assert_frame_equal(rows.drop(without), batch[name].drop(without))
    refused = told.rows(F1_QUARANTINE).filter(pl.col("stage") == "reading")
    assert refused.height == len(garbage) + 1


@pytest.mark.usefixtures("unbuilt")
def test_a_full_disk_ends_it_and_what_was_received_is_gone_on_with(
    tmp_path: Path, batch: dict[str, pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Recording, line: bytes) -> int:
        if self.rows == AMID_LAPS:
            raise DiskFull(self.path)
        return as_it_is(self, line)

    told, as_it_is = Told(tmp_path), Recording.write
    with monkeypatch.context() as patch:
        patch.setattr(Recording, "write", full)
        with pytest.raises(DiskFull):
            run(told, Lines("a", lines()))
    (health,) = read_health(told.settings)
    assert (health.outcome, health.healthy) == ("failed", False)
    result = run(told, Lines("a", lines()))
    assert (result.outcome, result.health.resumed) == ("over", AMID_LAPS)
    as_in_batch(told.contents(LIVING), batch)


def test_a_stream_that_tells_no_session_needs_its_name(tmp_path: Path) -> None:
    told = Told(tmp_path)
    nameless = [line for line in lines()[:200] if b"SessionInfo" not in line]
    with pytest.raises(SessionUnknown):
        run(told, Lines("a", nameless))
    result = run(told, Lines("a", nameless), KEY)
    assert (result.outcome, result.health.lines) == ("stream_ended", len(nameless))
    assert told.orchestrator.get_health_status() is not None
    nothing = run(told, Lines("b", []), SessionKey.parse("2026-07-20_simulated-spa_race"))
    assert (nothing.outcome, nothing.stored, nothing.ok) == ("stream_ended", None, False)
    assert nothing.problem in nothing.health.notes[0]
    assert Told(tmp_path).orchestrator.get_health_status() is None


def test_sessions_of_the_past_are_fetched_and_built_once(tmp_path: Path) -> None:
    told = Told(tmp_path)
    place = Simulated([SCENARIO], telemetry=SPAN)

    def batch() -> list[tuple[str, str]]:
        result = asyncio.run(told.orchestrator.run_historical_batch(place=place, historical=False))
        assert result.ok
        assert len(result.fetched) == 4
        return [(str(one.key), one.became) for one in result.sessions]

    assert batch() == [(str(KEY), "stored")]
    assert told.rows(F1_LAPS).height > 0
    assert batch() == [(str(KEY), "unchanged")]
