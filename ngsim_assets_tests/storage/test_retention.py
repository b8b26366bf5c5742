"""What is removed: what nobody wants any more and nothing else, whoever else is at work."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from datetime import UTC, datetime, timedelta
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngsim_assets.storage import retention
from ngsim_assets.storage.claims import claimed
from ngsim_assets.storage.errors import DamagedFile, UnknownVersion, VacuumedVersion
from ngsim_assets.storage.folding import Folding, State
from ngsim_assets.storage.manifest import DataFile
from ngsim_assets.storage.parquet import ParquetStorage, WriteOptions
from ngsim_assets.storage.retention import Vacuumed, kept
from ngsim_assets.storage.versions import DataVersionManager
from ngsim_assets_tests.storage.tables import HERE, SAMPLES, THERE, samples
from ngsim_assets_tests.storage.vacuumers import (
    PRELOADED,
    vacuum_until_killed,
    write_and_go_back,
)


@pytest.fixture
def versions(lake: ParquetStorage) -> DataVersionManager:
    """Versions of a lake whose table has five of one partition and one of another."""
    lake.replace(SAMPLES, THERE, [samples(site="there")])
    for shift in range(5):
        lake.replace(SAMPLES, HERE, [samples(shift=shift)])
    return DataVersionManager(lake)


def _on_disk(lake: ParquetStorage) -> set[str]:
    return {str(path.relative_to(lake.root / "samples")) for path in lake.root.rglob("*.parquet")}


def _readable(versions: DataVersionManager) -> list[int]:
    return [version.number for version in versions.versions(SAMPLES, HERE) if version.readable]


def test_young_versions_stay_whatever_their_number(
    lake: ParquetStorage, versions: DataVersionManager
) -> None:
    before = _on_disk(lake)
    nothing = versions.vacuum(SAMPLES, keep_days=1, keep_versions=1)
    assert nothing == Vacuumed("samples", 0, 0, 0, 0, (), None, dry_run=False)
    assert _on_disk(lake) == before
    assert lake.history(SAMPLES)[0].operation == "replace"


def test_versions_can_be_kept_for_ever(versions: DataVersionManager) -> None:
    for days in (1e6, 1e12, float("inf")):
        assert versions.vacuum(SAMPLES, keep_days=days, keep_versions=1).files == 0


def test_the_newest_versions_of_each_partition_stay_whatever_their_age(
    lake: ParquetStorage, versions: DataVersionManager
) -> None:
    before = _on_disk(lake)
    told = versions.vacuum(SAMPLES, keep_days=0, keep_versions=2, dry_run=True)
    assert (told.files, told.versions, told.version, told.dry_run) == (6, (2, 3, 4), None, True)
    assert _on_disk(lake) == before
    done = versions.vacuum(SAMPLES, keep_days=0, keep_versions=2, run_id="night")
    assert (done.files, done.bytes, done.versions) == (told.files, told.bytes, told.versions)
    assert done.version == 7
    assert _readable(versions) == [6, 5]
    assert len(_on_disk(lake)) == len(before) - 6
    assert lake.verify(SAMPLES) == []
    assert lake.scan(SAMPLES, HERE, version=5).collect().height == 12
    assert lake.scan(SAMPLES, THERE, version=3).collect().height == 12
    with pytest.raises(VacuumedVersion, match=r"partition here\|first: version 3 can no longer"):
        lake.scan(SAMPLES, HERE, version=3)
    assert lake.history(SAMPLES)[0].operation == "vacuum"
    assert lake.history(SAMPLES)[0].provenance.run_id == "night"
    # nothing is left to do, and nothing is recorded
    assert versions.vacuum(SAMPLES, keep_days=0, keep_versions=2).version is None
    assert lake.history(SAMPLES)[0].version == 7
    listed = versions.versions(SAMPLES)
    assert [v.number for v in listed] == [6, 5, 4, 3, 2, 1, 0]  # still told, vacuums are none
    current = lake.current(SAMPLES, HERE)
    assert current is not None
    assert current.version == 6


def test_what_a_rollback_named_again_is_live(
    lake: ParquetStorage, versions: DataVersionManager
) -> None:
    lake.restore(SAMPLES, HERE, 2)
    versions.vacuum(SAMPLES, keep_days=0, keep_versions=1)
    assert _readable(versions) == [7, 2]  # the same files
    assert lake.verify(SAMPLES) == []
    assert lake.scan(SAMPLES, HERE).collect()["step"].to_numpy().min() == 0


def test_an_empty_partition_keeps_what_it_held_last(
    lake: ParquetStorage, versions: DataVersionManager
) -> None:
    lake.replace(SAMPLES, HERE, [])
    versions.vacuum(SAMPLES, keep_days=0, keep_versions=2)
    assert lake.restore(SAMPLES, HERE, 6).rows == 12


def test_leftovers_go_and_files_of_others_stay(
    lake: ParquetStorage, versions: DataVersionManager
) -> None:
    table = lake.root / "samples"
    folder = (table / lake.files(SAMPLES, HERE)[0].path).parent
    lost, living = "00000000dead", "00000000babe"
    for write in (lost, living):
        (folder / f"00000-{'0' * 64}-{write}.parquet").write_bytes(b"12345")
    foreign = folder / "part-00000-of-a-program-about-to-commit.parquet"
    foreign.touch()
    with claimed(table, living):
        assert versions.use(SAMPLES).leftovers == 5
        done = versions.vacuum(SAMPLES, keep_days=1, keep_versions=1)
    assert (done.leftovers, done.leftover_bytes, done.files, done.version) == (1, 5, 0, None)
    names = {path.name for path in folder.iterdir()}
    assert foreign.name in names
    assert f"00000-{'0' * 64}-{living}.parquet" in names
    assert f"00000-{'0' * 64}-{lost}.parquet" not in names


def test_use_is_every_byte(lake: ParquetStorage, versions: DataVersionManager) -> None:
    use = versions.use(SAMPLES)
    on_disk = sum(path.stat().st_size for path in lake.root.rglob("*") if path.is_file())
    assert use.total == on_disk
    assert use.live == sum(file.bytes for file in lake.files(SAMPLES))
    assert use.history == 4 * use.live // 2
    assert (use.leftovers, use.versions, use.readable) == (0, 7, 7)
    versions.vacuum(SAMPLES, keep_days=0, keep_versions=1)
    after = versions.use(SAMPLES)
    assert (after.live, after.history, after.versions, after.readable) == (use.live, 0, 7, 3)


def test_who_reads_on_while_the_rows_are_replaced_and_vacuumed_is_told(tmp_path: Path) -> None:
    lake = ParquetStorage(tmp_path, WriteOptions(file_rows=4))
    lake.replace(SAMPLES, HERE, samples().iter_slices(4))
    reading = lake.frames(SAMPLES, HERE)
    next(reading)
    lake.replace(SAMPLES, HERE, [samples(shift=1)])
    DataVersionManager(lake).vacuum(SAMPLES, keep_days=0, keep_versions=1)
    with pytest.raises(VacuumedVersion, match="version 1 can no longer be read"):
        list(reading)


def test_a_lake_without_the_table(lake: ParquetStorage) -> None:
    versions = DataVersionManager(lake)
    assert versions.vacuum(SAMPLES, 0, 1).files == 0
    assert versions.use(SAMPLES).total == 0
    assert not lake.root.exists()


def test_files_that_were_given_up_are_not_named_again_though_still_there(
    lake: ParquetStorage, versions: DataVersionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(retention, "_remove", killed)
        with pytest.raises(KeyboardInterrupt):
            versions.vacuum(SAMPLES, keep_days=0, keep_versions=2)
    before = _on_disk(lake)
    with pytest.raises(VacuumedVersion):
        lake.restore(SAMPLES, HERE, 3)
    assert _readable(versions) == [6, 5]
    done = versions.vacuum(SAMPLES, keep_days=30, keep_versions=10)  # finishes what was begun
    assert (done.files, done.version) == (6, None)
    assert len(_on_disk(lake)) == len(before) - 6
    assert lake.verify(SAMPLES) == []


def test_a_rollback_that_comes_first_keeps_its_files(
    lake: ParquetStorage, versions: DataVersionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ParquetStorage(lake.root)
    log = lake.log(SAMPLES)
    exchange = log.exchange
    tried: list[int] = []

    def late(base, *arguments):
        if not tried:
            other.restore(SAMPLES, HERE, 2)
        tried.append(base.version)
        return exchange(base, *arguments)

    monkeypatch.setattr(log, "exchange", late)
    versions.vacuum(SAMPLES, keep_days=0, keep_versions=1)
    assert tried == [6, 7]
    assert _readable(versions) == [7, 6, 2]  # 6 was live when the vacuum began
    assert lake.verify(SAMPLES) == []


def test_a_rollback_that_comes_second_is_refused(
    lake: ParquetStorage, versions: DataVersionManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ParquetStorage(lake.root)
    log = other.log(SAMPLES)
    exchange = log.exchange

    def late(*arguments):
        versions.vacuum(SAMPLES, keep_days=0, keep_versions=1)
        return exchange(*arguments)

    monkeypatch.setattr(log, "exchange", late)
    with pytest.raises(VacuumedVersion):
        other.restore(SAMPLES, HERE, 2)
    assert lake.verify(SAMPLES) == []
    assert lake.scan(SAMPLES, HERE).collect()["step"].to_numpy().min() == 4


def test_nothing_is_removed_where_a_commit_cannot_be_read(
    lake: ParquetStorage, versions: DataVersionManager
) -> None:
    from deltalake import DeltaTable

    DeltaTable(lake.root / "samples").create_checkpoint()
    (lake.root / "samples" / "_delta_log" / f"{3:020}.json").unlink()
    before = _on_disk(lake)
    with pytest.raises(DamagedFile, match="put this file back"):
        DataVersionManager(ParquetStorage(lake.root)).vacuum(SAMPLES, 0, 1)
    assert _on_disk(lake) == before


_START = datetime(2026, 1, 1, tzinfo=UTC)
_DAYS = st.lists(st.floats(0, 20), min_size=1, max_size=8)


def _folding(times: list[datetime]) -> Folding:
    """One partition, another content at each time."""
    folding = Folding(SAMPLES)
    folding.commits = list(enumerate(times))
    folding.states = {
        ("here", "first"): [
            State(number, at, (DataFile(str(number), {}, 1, 1),)) for number, at in enumerate(times)
        ]
    }
    return folding


@given(
    waits=_DAYS,
    keep_days=st.floats(0, 60),
    keep_versions=st.integers(1, 5),
    wrong=st.dictionaries(st.integers(1, 7), st.floats(-9000, 9000)),
    now_wrong=st.sampled_from([0, 0, -4000, 20000]),
)
def test_no_clock_makes_it_remove_what_should_stay(
    waits: list[float],
    keep_days: float,
    keep_versions: int,
    wrong: dict[int, float],
    now_wrong: int,
) -> None:
    times = [_START + timedelta(days=sum(waits[: n + 1])) for n in range(len(waits))]
    now = times[-1] + timedelta(days=3)
    right = kept(_folding(times), keep_days, keep_versions, now)
    newest = {str(n) for n in range(len(times))[-keep_versions:]}
    assert newest <= right
    # what was live at any moment of the last days is kept, and nothing else but the newest
    for number, until in enumerate([*times[1:], now]):
        is_young = until >= now - timedelta(days=keep_days)
        assert (str(number) in right) == (is_young or str(number) in newest)
    told = [
        time + timedelta(days=wrong[n]) if abs(wrong.get(n, 0)) > 200 else time
        for n, time in enumerate(times)
    ]
    # single commits by clocks that were months or years off: more may stay, nothing more goes
    assert right <= kept(_folding(told), keep_days, keep_versions, now)
    wrong_now = now + timedelta(days=now_wrong)
    assert newest <= kept(_folding(told), keep_days, keep_versions, wrong_now)
    if now_wrong <= 0:
        assert right <= kept(_folding(times), keep_days, keep_versions, wrong_now)


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    """Children of a server that has everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def test_vacuums_beside_writers_and_rollbacks_killed_at_any_moment(
    lake: ParquetStorage, processes: ForkServerContext, tmp_path: Path
) -> None:
    chance = random.Random(2005)  # noqa: S311
    answers = tmp_path / "answers"
    answers.mkdir()
    for shift in range(4):
        lake.replace(SAMPLES, HERE, [samples(3, shift=shift)])
    workers = [
        processes.Process(target=write_and_go_back, args=(lake.root, seed, 8, answers))
        for seed in (1, 2)
    ]
    for worker in workers:
        worker.start()
    kills = 0
    while any(worker.is_alive() for worker in workers) or not kills:
        started = processes.Event()
        vacuumer = processes.Process(target=vacuum_until_killed, args=(lake.root, started))
        vacuumer.start()
        assert started.wait(30)
        time.sleep(chance.uniform(0, 0.3))
        os.kill(vacuumer.pid or 0, signal.SIGKILL)
        vacuumer.join()
        kills += 1
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    done = [[int(n) for n in path.read_text().split()] for path in answers.iterdir()]
    # a worker whose every turn back was to a version that is gone by then has done its part, too
    assert all(sum(turns) for turns in list(zip(*done, strict=True))[:2])
    assert lake.verify(SAMPLES) == []
    versions = DataVersionManager(lake)
    versions.vacuum(SAMPLES, keep_days=0, keep_versions=2)
    named: set[str] = set()
    for version in lake.history(SAMPLES):
        try:
            named |= {file.path for file in lake.files(SAMPLES, version=version.version)}
        except UnknownVersion:
            continue
    assert (
        _on_disk(lake) == named
    )  # no leftovers, and nothing that a readable version needs is gone
