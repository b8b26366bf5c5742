"""What is built by itself, and when: real ticks of the sensor, real runs of what they ask for.

The stages are stand-ins (automated.py); that the real ones tell the same versions is tested in
test_graph.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from ngsim_assets.automation import conditions
from ngsim_assets.automation.conditions import MAX_REQUESTS
from ngsim_assets.automation.versions import NOTHING
from ngsim_assets.highway.resources import RECORDING_PARTITIONS
from ngsim_assets_tests.highway.automated import PER_RECORDING, SUMMARY, Daemon, World

EARLY, LATER, WEST = (
    "us-101|2005-06-15T0750",
    "us-101|2005-06-15T0805",
    "i-80|2005-04-13T1600",
)
ALL = frozenset(PER_RECORDING)


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Daemon(instance, World())


def built(daemon: Daemon, *partitions: str) -> Daemon:
    """`daemon` after it has built recordings and summed them up."""
    for partition in partitions:
        daemon.deliver(partition, f"first rows of {partition}")
    daemon.settle()
    return daemon


def test_what_was_observed_before_the_first_tick_is_built_in_one_run(daemon: Daemon) -> None:
    daemon.deliver(EARLY, "rows")
    first = daemon.tick()
    assert first.partitions == {EARLY: ALL}
    assert len(first.runs) == 1
    assert not daemon.tick(), "while the run waits, nothing is asked for"
    assert daemon.work(first) == [True]
    second = daemon.tick()
    assert (second.partitions, second.summary) == ({}, True)
    daemon.work(second)
    assert not daemon.tick()


def test_only_what_changed_is_built_again(daemon: Daemon) -> None:
    built(daemon, EARLY, WEST)
    daemon.deliver(WEST, daemon.world.delivered[WEST])
    assert not daemon.tick(), "the same content"
    daemon.deliver(LATER, "a late key")
    assert daemon.tick().partitions == {LATER: ALL}


def test_changed_content_rebuilds_all_that_hangs_on_it(daemon: Daemon) -> None:
    built(daemon, EARLY, WEST)
    daemon.deliver(EARLY, "other rows")
    asked = daemon.settle()
    assert [(wanted.partitions, wanted.summary) for wanted in asked] == [
        ({EARLY: ALL}, False),
        ({}, True),
    ]
    assert len(asked[0].runs) == 1


def test_another_code_version_rebuilds_from_there_on(daemon: Daemon) -> None:
    built(daemon, EARLY)
    daemon.world.code["cleaned_trajectories"] = "2"
    wanted = daemon.tick()
    hanging = {"cleaned_trajectories", "trajectory_segments", "traffic_state", "quality_report"}
    assert wanted.partitions == {EARLY: hanging}
    daemon.work(wanted)
    daemon.settle()


def test_other_parameters_rebuild_from_there_on(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(daemon, EARLY, WEST)
    monkeypatch.setenv("NGSIM_CLEANING_METHOD", "savitzky_golay")
    wanted = daemon.tick()
    hanging = {"cleaned_trajectories", "trajectory_segments", "traffic_state", "quality_report"}
    assert wanted.partitions == {EARLY: hanging, WEST: hanging}
    daemon.work(wanted)
    daemon.settle()
    monkeypatch.setenv("NGSIM_GAP_LIMIT", "1.5")
    assert daemon.tick().partitions[EARLY] == ALL - {"raw_trajectories"}


@pytest.mark.parametrize("broken", ["raw_trajectories", "quarantine"])
def test_what_failed_is_tried_once_more_until_something_changes(
    daemon: Daemon, broken: str
) -> None:
    daemon.world.failing = {broken}
    for content in ("bad rows", "rows as bad"):
        daemon.deliver(EARLY, content)
        asked = daemon.settle()
        assert len(asked) == MAX_REQUESTS
        assert not daemon.tick()
    daemon.world.failing = set()
    assert not daemon.tick(), "nothing tells that it would succeed now"
    daemon.deliver(EARLY, "good rows")
    assert daemon.tick().partitions == {EARLY: ALL}


def test_corrected_code_starts_again_what_failed(daemon: Daemon) -> None:
    daemon.world.failing = {"traffic_state"}
    daemon.deliver(EARLY, "rows")
    daemon.settle()
    daemon.world.failing = set()
    daemon.world.code["traffic_state"] = "2"
    asked = daemon.settle()
    assert asked[0].partitions == {EARLY: {"traffic_state"}}


def test_many_recordings_are_one_backfill_and_one_summary(daemon: Daemon) -> None:
    for partition in (EARLY, LATER, WEST):
        daemon.deliver(partition, f"rows of {partition}")
    wanted = daemon.tick()
    assert wanted.backfills == 1
    assert wanted.partitions == dict.fromkeys((EARLY, LATER, WEST), ALL)
    assert not daemon.tick(), "nothing while it runs"
    daemon.work(wanted)
    after = daemon.settle()
    assert [(wave.partitions, wave.summary) for wave in after] == [({}, True)]


def test_a_restart_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    world = World()

    def restarted(before: Daemon) -> Daemon:
        before.instance.dispose()
        return before.reopened(dg.DagsterInstance.local_temp(str(tmp_path)))

    daemon = Daemon(dg.DagsterInstance.local_temp(str(tmp_path)), world)
    assert not daemon.tick()
    daemon.deliver(EARLY, "rows")
    daemon = restarted(daemon)  # between observation and tick
    cursor = daemon.cursor
    wanted = daemon.tick()
    assert wanted.partitions == {EARLY: ALL}
    daemon.cursor = cursor  # killed after the run was created, before the cursor was kept
    daemon = restarted(daemon)
    assert not daemon.tick()

    asked: list[object] = []
    world.during["cleaned_trajectories"] = lambda: asked.append(
        bool(daemon.reopened(dg.DagsterInstance.local_temp(str(tmp_path))).tick())
    )
    assert daemon.work(wanted) == [True]
    assert asked == [False], "during the run"
    daemon.cursor = None  # all memory of ticks is gone
    daemon = restarted(daemon)
    assert [(wave.partitions, wave.summary) for wave in daemon.settle()] == [({}, True)]
    daemon.instance.dispose()


def test_what_was_built_by_hand_is_not_built_again(daemon: Daemon) -> None:
    assert not daemon.tick()
    daemon.deliver(EARLY, "rows")
    during: list[bool] = []
    daemon.world.during["traffic_state"] = lambda: during.append(bool(daemon.tick()))
    assert daemon.by_hand(EARLY)
    assert daemon.by_hand(None, [SUMMARY])
    assert during == [False]
    assert not daemon.tick()


def test_content_that_changes_while_it_is_built_is_built_next(daemon: Daemon) -> None:
    daemon.deliver(EARLY, "rows")
    daemon.world.during["cleaned_trajectories"] = lambda: daemon.deliver(EARLY, "newer rows")
    asked = daemon.settle()
    assert [wanted.partitions for wanted in asked] == [{EARLY: ALL}, {EARLY: ALL}, {}]


def test_content_that_changes_between_request_and_run_is_built_once(daemon: Daemon) -> None:
    daemon.deliver(EARLY, "rows")
    wanted = daemon.tick()
    daemon.deliver(EARLY, "newer rows")
    assert not daemon.tick()
    daemon.work(wanted)
    assert [wave.partitions for wave in daemon.settle()] == [{}]


def test_nothing_is_built_of_what_a_blocking_check_refused(daemon: Daemon) -> None:
    built(daemon, EARLY, WEST)
    daemon.world.refused = {"raw_trajectories"}
    before = dict(daemon.world.stored)
    daemon.deliver(EARLY, "rows that do not add up")
    asked = daemon.settle()
    assert [wave.partitions for wave in asked if wave.partitions] == [{EARLY: ALL}]
    after = {name for name in before if daemon.world.stored[name] != before[name]}
    assert after == {("raw_trajectories", EARLY)}
    daemon.world.refused = set()
    daemon.deliver(EARLY, "rows that do")
    assert daemon.tick().partitions == {EARLY: ALL}


def test_a_check_that_passes_again_lets_what_follows_be_built(daemon: Daemon) -> None:
    daemon.world.refused = {"raw_trajectories"}
    daemon.deliver(EARLY, "rows")
    daemon.settle()
    daemon.world.refused = set()
    daemon.by_hand(EARLY, ["raw_trajectories"])
    assert daemon.tick().partitions == {EARLY: ALL - {"raw_trajectories"}}


def test_a_rollback_rebuilds_what_hangs_on_it_and_not_itself(daemon: Daemon) -> None:
    built(daemon, EARLY, WEST)
    daemon.roll_back(EARLY, {"cleaned_trajectories": "as it was"})
    asked = daemon.settle()
    hanging = {"trajectory_segments", "traffic_state", "quality_report"}
    assert [(wave.partitions, wave.summary) for wave in asked] == [
        ({EARLY: hanging}, False),
        ({}, True),
    ]
    assert daemon.world.stored["cleaned_trajectories", EARLY] == "as it was"
    daemon.deliver(EARLY, "new rows end the hold")
    assert daemon.tick().partitions == {EARLY: ALL}


def test_a_rollback_of_all_tables_rebuilds_none(daemon: Daemon) -> None:
    built(daemon, EARLY)
    daemon.roll_back(EARLY, {asset: f"{asset} as it was" for asset in PER_RECORDING})
    asked = daemon.settle()
    assert [(wave.partitions, wave.summary) for wave in asked] == [({}, True)]


def test_the_summary_waits_for_a_wave_and_is_tried_once_more(daemon: Daemon) -> None:
    built(daemon, EARLY)
    daemon.deliver(EARLY, "second rows")
    daemon.work(daemon.tick())
    daemon.deliver(LATER, "rows")
    daemon.world.failing = {SUMMARY}
    asked = daemon.settle()
    assert [(set(wave.partitions), wave.summary) for wave in asked] == [
        ({LATER}, False),
        (set(), True),
        (set(), True),
    ]


def test_a_key_that_was_deleted_is_left_alone(daemon: Daemon) -> None:
    built(daemon, EARLY, LATER)
    daemon.instance.delete_dynamic_partition(RECORDING_PARTITIONS, LATER.partition("|")[2])
    daemon.world.code["raw_trajectories"] = "2"
    assert daemon.tick().partitions == {EARLY: ALL}


def test_what_no_file_delivers_any_more_is_left_alone(daemon: Daemon) -> None:
    built(daemon, EARLY, LATER)
    daemon.deliver(LATER, NOTHING)
    assert not daemon.tick()
    daemon.world.code["raw_trajectories"] = "2"
    assert daemon.tick().partitions == {EARLY: ALL}


def test_the_summary_does_not_wait_for_ever(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(daemon, EARLY)
    daemon.deliver(EARLY, "second rows")
    daemon.work(daemon.tick())
    daemon.deliver(LATER, "rows that take long")
    waves = [daemon.tick().summary, daemon.tick().summary]
    monkeypatch.setattr(conditions, "LONGEST_WAIT", 0.0)
    late = daemon.tick()
    daemon.work(late)
    assert [*waves, late.summary, daemon.tick().summary] == [False, False, True, False]
