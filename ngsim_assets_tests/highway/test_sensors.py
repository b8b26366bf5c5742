"""Files that arrive, by real ticks and real runs: nothing lost, nothing done twice, told why."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace

import dagster as dg
import pytest

from ngsim_assets.automation import failures, watching
from ngsim_assets.automation.versions import NOTHING
from ngsim_assets.highway import sensors
from ngsim_assets.highway.resources import RECORDING_PARTITIONS
from ngsim_assets.storage.errors import DiskFull
from ngsim_assets_tests.highway.deliveries import EARLY, LATER
from ngsim_assets_tests.highway.watched import Watched, failed_run, metadata


def test_files_that_wait_at_a_cold_start_are_taken_in_and_registered(platform: Watched) -> None:
    assert platform.tick().skipped == f"nothing new in {platform.data / 'incoming'}; 0 files known"
    platform.deliver("early.txt")
    platform.deliver("later.csv", recording=1)
    (request,) = platform.tick().requests
    assert request.tags["ngsim/files"] == "2"
    assert platform.tick().requests[0].run_key == request.run_key
    result = platform.run(request)
    assert result.success
    told = metadata(result)
    assert (told["files taken in"], told["rows"]) == (2, 240)
    assert [record.data["file"] for record in told["taken in"].records] == [
        "early.txt",
        "later.csv",
    ]
    landing = platform.platform.landing
    assert platform.observed() == {
        str(key): landing.partition_hash(str(key)) for key in (EARLY, LATER)
    }
    assert set(platform.instance.get_dynamic_partitions(RECORDING_PARTITIONS)) == {
        EARLY.recording,
        LATER.recording,
    }
    assert "2 files known" in platform.tick().skipped


def test_a_named_folder_that_is_missing_is_left_missing(
    platform: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may just not be mounted: what it held is not gone, and nobody's place to create it."""
    mounted = tmp_path / "mounted"
    monkeypatch.setenv("NGSIM_INCOMING", str(mounted))
    path = platform.deliver("early.txt")
    mounted.mkdir()
    path.rename(mounted / "early.txt")
    platform.take_in()
    mounted.rename(tmp_path / "elsewhere")
    assert platform.tick().skipped.startswith(f"there is no folder {mounted}")
    assert not mounted.exists()
    (tmp_path / "elsewhere").rename(mounted)
    assert "1 file known" in platform.tick().skipped


def test_new_changed_renamed_and_gone(platform: Watched) -> None:
    path = platform.deliver("early.txt")
    platform.take_in()
    first = platform.observed()

    os.utime(path)
    told = metadata(platform.take_in())
    assert told["recordings with new content"] == 0
    assert platform.observations() == 1

    platform.deliver("early.txt", seed=1)
    assert metadata(platform.take_in())["recordings with new content"] == 1
    changed = platform.observed()
    assert changed.keys() == first.keys()
    assert changed != first

    path.rename(path.with_name("renamed.txt"))
    platform.take_in()
    assert platform.observations() == 2

    path.with_name("renamed.txt").unlink()
    told = metadata(platform.take_in())
    assert [record.data["file"] for record in told["gone"].records] == [
        str(path.with_name("renamed.txt"))
    ]
    assert platform.tick().requests == []
    assert platform.observed() == changed


def test_a_recording_whose_only_file_became_another_one_is_told_of(platform: Watched) -> None:
    platform.deliver("file.txt")
    platform.take_in()
    platform.deliver("file.txt", recording=1)
    (record,) = metadata(platform.take_in())["taken in"].records
    assert record.data["no longer delivered"] == str(EARLY)
    landing = platform.platform.landing
    assert platform.observed() == {
        str(EARLY): NOTHING,
        str(LATER): landing.partition_hash(str(LATER)),
    }
    platform.deliver("again.txt")
    platform.take_in()
    assert platform.observed()[str(EARLY)] == landing.partition_hash(str(EARLY)) != NOTHING


def test_a_file_being_written_waits(platform: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGSIM_SETTLE", "60")
    path = platform.deliver("growing.txt")
    assert "1 file still being written" in platform.tick().skipped
    with path.open("ab") as file:
        file.write(path.read_bytes())
    assert platform.tick().requests == []
    monkeypatch.setenv("NGSIM_SETTLE", "0")
    assert metadata(platform.take_in())["rows"] == 240


def test_a_file_from_the_future_is_settled_when_it_looks_the_same_twice(
    platform: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGSIM_SETTLE", "1")
    path = platform.deliver("early.txt")
    ahead = time.time() + 86_400
    os.utime(path, (ahead, ahead))
    assert "1 file still being written" in platform.tick().skipped
    assert len(platform.tick().requests) == 1


def test_names_that_are_no_text_hold_nothing_up(
    platform: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGSIM_SETTLE", "1")
    ahead = time.time() + 86_400
    for name in ("early.txt", os.fsdecode(b"later\xff.txt"), os.fsdecode(b"\xff/100%25.txt")):
        (platform.incoming / name).parent.mkdir(exist_ok=True)
        os.utime(platform.deliver(name), (ahead, ahead))
    assert "3 files still being written" in platform.tick().skipped
    told = metadata(platform.take_in())
    assert (told["files taken in"], told["files rejected"]) == (1, 2)
    assert "1 file known" in platform.tick().skipped
    assert len(list((platform.data / "rejected").rglob("*.reason.txt"))) == 2


def test_thousands_of_files_keep_the_cursor_small(
    platform: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGSIM_SETTLE", "1")
    ahead = time.time() + 86_400
    for number in range(4_000):
        path = platform.incoming / f"{number:05d}-{'long' * 40}.txt"
        path.touch()
        if number % 2:
            os.utime(path, (ahead, ahead))
    began = time.perf_counter()
    tick = platform.tick()
    assert time.perf_counter() - began < 2
    assert "files still being written" in tick.skipped
    assert len(tick.cursor or "") <= watching.CURSOR_BYTES


@pytest.mark.parametrize(
    "cursor", ["", "{", "[1]", '{"version": 7}', '{"mtime": 1.5}', "x" * 100_000, "\x00"]
)
def test_a_corrupt_or_foreign_cursor_costs_nothing(
    platform: Watched, capfd: pytest.CaptureFixture[str], cursor: str
) -> None:
    platform.deliver("early.txt")
    platform.cursors["incoming_files"] = cursor
    tick = platform.tick()
    assert len(tick.requests) == 1
    assert json.loads(tick.cursor or "")["version"] == 1
    assert ("discarded" in capfd.readouterr().err) == bool(cursor)


def test_an_old_cursor_after_a_restart_misses_nothing(tmp_path: Path, platform: Watched) -> None:
    platform.deliver("early.txt")
    platform.take_in()
    old = dict(platform.cursors)
    platform.deliver("later.txt", recording=1)
    platform.take_in()
    platform.cursors = old
    assert platform.tick().requests == []
    platform.deliver("third.txt", recording=2)
    assert metadata(platform.take_in())["recordings with new content"] == 1


def test_bad_files_do_not_stop_good_ones_and_say_why(platform: Watched) -> None:
    platform.deliver("good.txt")
    (platform.incoming / "notes.txt").write_text("this is no trajectory\n" * 10)
    (platform.incoming / "empty.csv").touch()
    (platform.incoming / "page.html").write_text("<html>404</html>")
    result = platform.take_in()
    assert result.success
    told = metadata(result)
    assert told["files taken in"] == 1
    rejected = {record.data["file"]: record.data for record in told["rejected"].records}
    assert {"notes.txt", "page.html"} <= rejected.keys()
    assert all(bad["problem"] and bad["fix"] for bad in rejected.values())
    assert all(Path(bad["moved to"]).is_file() for bad in rejected.values())
    assert list(platform.observed()) == [str(EARLY)]
    assert platform.tick().requests == []


def test_a_run_that_is_going_on_is_waited_for(platform: Watched) -> None:
    platform.deliver("early.txt")
    (request,) = platform.tick().requests
    run = platform.instance.create_run_for_job(
        platform.repository.get_job(sensors.TAKE_IN_FILES),
        status=dg.DagsterRunStatus.STARTED,
        tags={**request.tags, "dagster/run_key": str(request.run_key)},
    )
    platform.deliver("later.txt", recording=1)
    assert f"run {run.run_id} is still taking files in" in platform.tick().skipped
    platform.instance.report_run_failed(run)
    assert f"run {run.run_id} did not help, again in" in platform.tick().skipped


class TestRetries:
    def test_a_run_that_somebody_deletes_stops_nothing(
        self, platform: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        platform.deliver("early.txt")
        tried: list[dg.DagsterRun] = []
        for pause in (0, 40, 70):
            _later(monkeypatch, pause)
            tried.append(failed_run(platform, platform.tick().requests[0]))
        platform.instance.delete_run(tried[0].run_id)
        _later(monkeypatch, 130)
        assert platform.take_in().success

    def test_pauses_grow_and_then_it_is_reported(
        self, platform: Watched, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        platform.deliver("early.txt")
        keys = set()
        for attempt in range(watching.ATTEMPTS):
            (request,) = platform.tick().requests
            keys.add(request.run_key)
            failed_run(platform, request)
            _later(monkeypatch, 0)
            pause = 30 * 2**attempt if attempt + 1 < watching.ATTEMPTS else 3600
            left = int(platform.tick().skipped.split()[-2])
            assert pause - 10 <= left <= pause
            if attempt + 1 < watching.ATTEMPTS:
                _later(monkeypatch, pause + 1)
        assert len(keys) == watching.ATTEMPTS
        assert capfd.readouterr().err.count("runs changed nothing of that") == 1
        platform.tick()
        assert "runs changed nothing of that" not in capfd.readouterr().err
        # other files are no reason to wait an hour
        platform.deliver("later.txt", recording=1)
        _later(monkeypatch, 60)
        assert metadata(platform.take_in())["files taken in"] == 2

    def test_a_clock_moved_back_stalls_nothing(
        self, platform: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        platform.deliver("early.txt")
        failed_run(platform, platform.tick().requests[0])
        _later(monkeypatch, -86_400)
        assert len(platform.tick().requests) == 1

    def test_what_a_killed_run_took_in_is_registered_by_the_next(
        self, platform: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Killed between the last file's checkpoint and the registration: nothing waits."""
        platform.deliver("early.txt")
        with monkeypatch.context() as patched:
            patched.setattr(sensors, "register_delivered", _killed)
            assert not platform.take_in().success
        assert platform.observed() == {}
        _later(monkeypatch, 60)
        tick = platform.tick()
        assert metadata(platform.run(tick.requests[0]))["recordings with new content"] == 1
        assert list(platform.observed()) == [str(EARLY)]
        assert platform.tick().requests == []

    def test_what_was_taken_in_before_a_failure_is_known_at_once(
        self, platform: Watched, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        platform.deliver("early.txt")
        with monkeypatch.context() as patched:
            patched.setattr(sensors.stages, "store_unassigned", _full)
            result = platform.take_in()
        (event,) = [e for e in result.all_events if e.is_step_failure]
        assert "no space left" in failures.cause_of(event.step_failure_data.error, result.run_id)
        assert list(platform.observed()) == [str(EARLY)]

    def test_a_new_instance_learns_what_was_delivered_before(self, platform: Watched) -> None:
        platform.deliver("early.txt")
        platform.take_in()
        other = platform.data / "other"
        other.mkdir()
        with dg.DagsterInstance.local_temp(str(other)) as instance:
            fresh = Watched(platform.data, instance, platform.repository)
            fresh.take_in()
            assert fresh.observed() == platform.observed()
            assert fresh.tick().requests == []


def _later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Let the sensor's clock, and no other, be ahead by `seconds`."""
    clock = SimpleNamespace(time=lambda: time.time() + seconds, monotonic=time.monotonic)
    monkeypatch.setattr(sensors, "time", clock)


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def _full(*_: object) -> None:
    raise DiskFull(Path("/lake/quarantine"))
