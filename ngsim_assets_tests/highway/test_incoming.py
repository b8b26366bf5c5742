"""The incoming folder: whatever happens to its files, the landing zone ends up with their rows."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.highway import incoming, intake
from ngsim_assets.highway.arrival import file_intake
from ngsim_assets.highway.errors import NotNgsim, UnspeakableName
from ngsim_assets.highway.incoming import Gone
from ngsim_assets.highway.intake import Intake, Rejected
from ngsim_assets.highway.simulation.write_source import write_source
from ngsim_assets.highway.stages import Platform, open_platform
from ngsim_assets.settings import BadSetting, Settings
from ngsim_assets.storage.errors import DiskFull
from ngsim_assets_tests.highway.deliveries import EARLY, LATER, rows

BAD = b"this is no recording\n"
NAMES = ("a.txt", "b.txt", "deep/c.txt")


@cache
def content(number: int) -> bytes:
    """A small file of one of two recordings."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.txt"
        write_source(rows(recording=number % 2, vehicles=1, frames=3, seed=number), path, "text")
        return path.read_bytes()


@pytest.fixture
def place(tmp_path: Path) -> Settings:
    (tmp_path / "data" / "incoming").mkdir(parents=True)
    return Settings(data=tmp_path / "data", settle=0)


def load(place: Settings) -> list[object]:
    return list(incoming.load(open_platform(place), place))


def state(landing: LandingZone) -> dict[str, str]:
    return {key: landing.partition_hash(key) for key in landing.partitions()}


class FileEvents(RuleBasedStateMachine):
    """Files come, grow, are replaced, renamed, deleted, broken and touched between loads.

    The model is the last good content of each path, as it was at a load. It is taken in by a
    fresh landing zone at the end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.place = Settings(data=self.folder / "data", settle=0)
        self.root = self.place.incoming_folder
        self.held: dict[str, bytes] = {}
        self.dirty: dict[str, int] = {}
        self.time = 0

    @initialize()
    def begin(self) -> None:
        self.root.mkdir(parents=True)

    def put(self, name: str, data: bytes) -> None:
        """A file of its own under `name`, older files first in the order of `put`."""
        path = self.root / name
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_name(".new")
        temporary.write_bytes(data)
        temporary.replace(path)
        self.stamp(name)

    def stamp(self, name: str) -> None:
        self.time += 1_000_000_000
        os.utime(self.root / name, ns=(0, self.time))
        self.dirty[name] = self.time

    @rule(name=st.sampled_from(NAMES), number=st.integers(0, 3))
    def create_or_replace(self, name: str, number: int) -> None:
        self.put(name, content(number))

    @rule(name=st.sampled_from(NAMES))
    def corrupt(self, name: str) -> None:
        self.put(name, BAD)

    def existing(self) -> list[str]:
        return [name for name in NAMES if (self.root / name).exists()]

    def good(self) -> list[str]:
        return [name for name in self.existing() if (self.root / name).read_bytes() != BAD]

    @precondition(lambda self: self.good())
    @rule(data=st.data(), number=st.integers(0, 3))
    def append(self, data: st.DataObject, number: int) -> None:
        name = data.draw(st.sampled_from(self.good()))
        with (self.root / name).open("ab") as file:
            file.write(content(number))
        self.stamp(name)

    @precondition(lambda self: self.existing())
    @rule(data=st.data())
    def touch(self, data: st.DataObject) -> None:
        self.stamp(data.draw(st.sampled_from(self.existing())))

    @precondition(lambda self: self.existing())
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.existing()))
        (self.root / name).unlink()
        self.dirty.pop(name, None)

    @precondition(lambda self: self.existing())
    @rule(data=st.data(), to=st.sampled_from(NAMES))
    def rename(self, data: st.DataObject, to: str) -> None:
        name = data.draw(st.sampled_from(self.existing()))
        if name != to:
            (self.root / to).parent.mkdir(exist_ok=True)
            (self.root / name).replace(self.root / to)
            self.dirty.pop(name, None)
            self.dirty[to] = (self.root / to).stat().st_mtime_ns

    @rule()
    def lose_the_checkpoint(self) -> None:
        shutil.rmtree(self.place.landing / "checkpoints", ignore_errors=True)

    @rule()
    def load(self) -> None:
        before = {name: (self.root / name).read_bytes() for name in self.existing()}
        load(self.place)
        for name in sorted(self.dirty, key=lambda name: (self.dirty[name], name)):
            data = before[name]
            if data == BAD:
                del before[name]  # it was moved aside
                continue
            self.held[name] = data
            # the same content under a path that is no more has been renamed
            for other in [o for o, held in self.held.items() if held == data and o not in before]:
                del self.held[other]
        self.dirty.clear()
        assert set(self.existing()) == before.keys()
        assert load(self.place) == []

    def teardown(self) -> None:
        self.load()
        fresh = self.folder / "fresh"
        for name, data in self.held.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_bytes(data)
        model = LandingZone(self.folder / "model")
        if fresh.exists():
            assert all(isinstance(r, Intake) for r in intake.take_in_all([fresh], model))
        assert state(LandingZone(self.place.landing)) == state(model)
        shutil.rmtree(self.folder)


FileEvents.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestFileEvents = FileEvents.TestCase


def test_what_comes_of_each_kind_of_file(place: Settings) -> None:
    root = place.incoming_folder
    (root / "a.txt").write_bytes(content(0))
    (root / "b.csv").write_bytes(BAD)
    (root / "a.txt.truth.parquet").write_bytes(b"what a simulation writes beside its file")
    (root / os.fsdecode(b"\xff.txt")).write_bytes(content(1))
    seen = incoming.changes(place)
    assert len(seen.ready) == 3
    taken, bad, unnamed = sorted(load(place), key=lambda result: isinstance(result, Rejected))
    assert isinstance(taken, Intake)
    assert (taken.keys, taken.changed) == ([EARLY], True)
    assert isinstance(bad, Rejected)
    assert isinstance(unnamed, Rejected)
    assert {type(bad.error), type(unnamed.error)} == {NotNgsim, UnspeakableName}
    assert {bad.aside, unnamed.aside} == {
        place.rejected / "b.csv",
        place.rejected / os.fsdecode(b"\xff.txt"),
    }
    assert incoming.changes(place).known == 1
    (root / "a.txt").unlink()
    assert load(place) == [Gone(root / "a.txt", (str(EARLY),))]


def test_a_folder_of_the_platform_is_not_watched(place: Settings) -> None:
    for folder in (place.data, place.landing / "files", place.data / "nothing" / ".."):
        with pytest.raises(BadSetting, match="NGSIM_INCOMING"):
            incoming.changes(place.model_copy(update={"incoming": folder}))


def test_a_full_disk_rejects_no_file(place: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    path = place.incoming_folder / "a.txt"
    path.write_bytes(content(0))

    def full(*args: object) -> Iterator[object]:
        raise DiskFull(place.landing)

    monkeypatch.setattr("ngsim_assets.highway.arrival.spill.Spill.write", full)
    with pytest.raises(DiskFull):
        load(place)
    monkeypatch.undo()
    assert path.exists()
    assert open_platform(place).landing.rejected() == []
    assert len(load(place)) == 1


def test_a_file_nobody_foresaw_does_not_hold_up_the_others(
    place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.txt", "b.txt"):
        (place.incoming_folder / name).write_bytes(content(len(name)))
    real = file_intake.survey

    def survey(path: Path) -> object:
        return real(path) if path.name == "b.txt" else [][len(path.name)]

    monkeypatch.setattr(file_intake, "survey", survey)
    odd, good = load(place)
    assert isinstance(odd, Rejected)
    assert "IndexError" in odd.error.problem
    assert odd.aside == place.rejected / "a.txt"
    assert isinstance(good, Intake)


def test_what_an_interrupted_attempt_changed_is_told(place: Settings) -> None:
    root = place.incoming_folder
    (root / "a.txt").write_bytes(content(0))
    (root / "b.txt").write_bytes(content(2))
    load(place)
    (root / "a.txt").write_bytes(content(1))
    opened = open_platform(place)
    results = incoming.load(opened, place)
    assert isinstance(next(results), Intake)
    results.close()
    first, second = load(place)
    assert isinstance(first, Intake)
    assert isinstance(second, Intake)
    assert (first.keys, first.note) == ([LATER], "unchanged")
    assert (second.keys, second.changed) == ([EARLY], True)
    assert load(place) == []


def archive(place: Settings, parts: int) -> Path:
    path = place.incoming_folder / "x.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for number in range(parts):
            packed.writestr(f"{number}.txt", content(number))
    return path


@pytest.mark.parametrize("checkpoint", ["kept", "lost"])
def test_an_archive_that_was_read_in_part_is_read_again(
    place: Settings, monkeypatch: pytest.MonkeyPatch, checkpoint: str
) -> None:
    archive(place, 4)
    real, taken = intake.FileIntake._take, 0

    def take(self: intake.FileIntake, member: object) -> Intake:
        nonlocal taken
        taken += 1
        if taken == 3:
            raise KeyboardInterrupt
        return real(self, member)  # type: ignore[arg-type]

    monkeypatch.setattr(intake.FileIntake, "_take", take)
    with pytest.raises(KeyboardInterrupt):
        load(place)
    if checkpoint == "lost":
        shutil.rmtree(place.landing / "checkpoints")
    assert len(load(place)) == 4
    assert len(open_platform(place).landing.files()) == 4
    assert load(place) == []


def test_an_archive_with_good_parts_is_not_moved(place: Settings) -> None:
    path = archive(place, 2)
    with zipfile.ZipFile(path, "a") as packed:
        packed.writestr("broken.csv", content(3).replace(b" ", b",")[:40] * 50)
    results = load(place)
    assert sum(isinstance(result, Intake) for result in results) == 2
    assert path.exists()
    assert load(place) == []


LOADER = """
    import sys
    from pathlib import Path
    from ngsim_assets.highway import incoming
    from ngsim_assets.highway.stages import open_platform
    from ngsim_assets.settings import Settings

    place = Settings(data=Path(sys.argv[1]), settle=0)
    for result in incoming.load(open_platform(place), place):
        print(result.name, result.changed, flush=True)
"""


def test_killed_it_goes_on_where_it_was(place: Settings, tmp_path: Path) -> None:
    for number in range(12):
        path = place.incoming_folder / f"{number:02d}.txt"
        path.write_bytes(content(number))
        os.utime(path, ns=(0, number))
    command = [sys.executable, "-c", textwrap.dedent(LOADER), str(place.data)]
    repository = Path(__file__).resolve().parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=repository) as process:
        assert process.stdout is not None
        for _ in range(5):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    results = load(place)
    assert 6 <= len(results) <= 8, "those it had finished are not looked at again"
    fresh = LandingZone(tmp_path / "fresh")
    list(intake.take_in_all([place.incoming_folder], fresh))
    assert state(open_platform(place).landing) == state(fresh)
    assert list((place.landing / ".staging").iterdir()) == []


def test_an_opened_platform_sees_what_others_took_in(place: Settings) -> None:
    watching: Platform = open_platform(place)
    assert watching.landing.partitions() == []
    (place.incoming_folder / "a.txt").write_bytes(content(0))
    load(place)
    assert watching.landing.partitions() == [str(EARLY)]
    shutil.rmtree(next((place.landing / "files").iterdir()))
    assert watching.landing.partitions() == []
    assert len(load(place)) == 1
    assert watching.landing.partitions() == [str(EARLY)]
