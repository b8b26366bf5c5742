"""Things that are dropped into the folder of sessions: complete ones are taken in, each once."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ngsim_assets.f1.arriving import Arrival, Arrivals, Gone, Postponed, Took


class Drop:
    """A watched folder of which everything is settled, and what was taken in of it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "recordings"
        self.root.mkdir()
        self.arrivals = Arrivals(self.root, folder / "memory", settle=30, sleep=lambda s: None)
        self.during: Callable[[], object] = lambda: None

    def put(self, name: str, content: str = "text", age: float = 60) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        self.touch(path, age)
        return path

    def touch(self, path: Path, age: float = 60) -> None:
        then = time.time() - age
        os.utime(path, (then, then))

    def take(self) -> dict[str, str]:
        """What became of everything, by its name below the folder."""
        told: dict[str, str] = {}
        for result in self.arrivals.take_all(self._read, lambda said: said == "bad"):
            match result:
                case Took(arrival, _, outcome):
                    told[self.name(arrival.path)] = outcome
                case Gone(path):
                    told[self.name(path)] = "gone"
                case Postponed(path, reason):
                    told[self.name(path)] = reason
        return told

    def name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def waiting(self) -> list[str]:
        return [self.name(arrival.path) for arrival in self.arrivals.waiting().ready]

    def _read(self, arrival: Arrival) -> list[str]:
        self.during()
        files = [self.root / name for name in arrival.files]
        return ["bad" if "garbage" in file.read_text() else "good" for file in files]


@pytest.fixture
def drop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drop:
    # times of change cannot be set: only those of content tell how old a file is here
    monkeypatch.setattr(
        "ngsim_assets.acquisition.listing.FileState.changed_ns",
        property(lambda self: self.mtime_ns),
    )
    return Drop(tmp_path)


def test_a_recording_and_a_folder_are_taken_in_once(drop: Drop) -> None:
    drop.put("friday.txt")
    for topic in ("TimingData", "SessionInfo"):
        drop.put(f"2024/race/{topic}.jsonStream")
    drop.put("2024/race/Index.json")
    drop.put("2024/race/truth/laps.parquet")
    assert sorted(drop.waiting()) == ["2024/race", "friday.txt"]
    assert drop.take() == {"2024/race": "taken", "friday.txt": "taken"}
    assert drop.take() == {}
    look = drop.arrivals.waiting()
    assert (look.ready, look.digest, look.known, look.refused) == ((), "", 3, 0)


def test_a_folder_waits_until_none_of_its_files_changes(drop: Drop) -> None:
    drop.put("race/TimingData.jsonStream")
    growing = drop.put("race/SessionInfo.jsonStream", age=1)
    drop.put("friday.txt")
    assert (drop.waiting(), drop.arrivals.waiting().growing) == (["friday.txt"], 1)
    assert drop.take() == {"friday.txt": "taken", "race": "it changed a moment ago"}
    drop.touch(growing)
    assert drop.take() == {"race": "taken"}


def test_what_changed_comes_again_and_what_is_gone_is_told_once(drop: Drop) -> None:
    timing = drop.put("race/TimingData.jsonStream")
    info = drop.put("race/SessionInfo.jsonStream")
    drop.put("friday.txt")
    drop.take()
    drop.put("race/TimingData.jsonStream", "more text")
    assert drop.take() == {"race": "taken"}
    timing.unlink()
    assert drop.take() == {"race": "taken"}, "it is another content without it"
    info.unlink()
    assert drop.arrivals.waiting().gone == (drop.root / "race",)
    assert drop.take() == {"race": "gone"}
    assert drop.take() == {}


def test_what_is_refused_stays_and_is_left_alone_until_it_changes(drop: Drop) -> None:
    path = drop.put("bad.txt", "garbage")
    drop.put("half/good.json")
    drop.put("half/bad.json", "garbage")
    assert drop.take() == {"bad.txt": "refused", "half": "taken"}
    assert path.exists()
    assert drop.take() == {}
    assert drop.arrivals.waiting().refused == 1
    drop.put("bad.txt", "corrected")
    assert drop.take() == {"bad.txt": "taken"}
    assert drop.arrivals.waiting().refused == 0


def test_what_changes_while_it_is_read_is_read_again(drop: Drop) -> None:
    drop.put("friday.txt")
    drop.during = lambda: drop.put("friday.txt", "longer text", age=1)
    assert drop.take() == {"friday.txt": "it changed while it was being read"}
    drop.during = lambda: None
    drop.touch(drop.root / "friday.txt")
    assert drop.take() == {"friday.txt": "taken"}


def test_what_was_being_taken_in_when_a_process_died_comes_again(drop: Drop) -> None:
    drop.put("friday.txt")

    def dies() -> None:
        raise KeyboardInterrupt

    drop.during = dies
    with pytest.raises(KeyboardInterrupt):
        drop.take()
    drop.during = lambda: None
    assert drop.waiting() == ["friday.txt"]
    assert drop.take() == {"friday.txt": "taken"}


def test_a_damaged_memory_costs_a_second_look(drop: Drop, tmp_path: Path) -> None:
    drop.put("friday.txt")
    drop.put("saturday.txt")
    drop.take()
    (journal,) = (tmp_path / "memory").glob("*.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:-1], b"x" + lines[-1][1:]]))
    look = drop.arrivals.waiting()
    assert len(look.ready) == len(look.notes) == 1
    journal.unlink()
    assert len(drop.waiting()) == 2


def test_a_folder_that_is_not_there_is_not_gone(drop: Drop, tmp_path: Path) -> None:
    drop.put("friday.txt")
    drop.take()
    drop.root.rename(tmp_path / "elsewhere")
    look = drop.arrivals.waiting()
    assert (look.gone, look.unreadable) == ((), (drop.root,))


def test_one_topic_stands_for_all_of_its_folder(drop: Drop) -> None:
    for name in (
        "a.jsonStream",
        "b.jsonStream",
        "miami_laps.json",
        "miami_weather.json",
        "no.json",
    ):
        drop.put(f"race/{name}")
    drop.put("race/friday.txt")
    handed = {
        drop.name(arrival.path): sorted(path.name for path in arrival.handed)
        for arrival in drop.arrivals.waiting().ready
    }
    assert handed == {
        "race": ["a.jsonStream", "miami_laps.json", "miami_weather.json", "no.json"],
        "race/friday.txt": ["friday.txt"],
    }
