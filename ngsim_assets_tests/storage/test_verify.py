"""Damage is found, told and mended by running the stage again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ngsim_assets.storage.errors import DamagedFile
from ngsim_assets.storage.parquet import ParquetStorage
from ngsim_assets.storage.versions import DataVersionManager
from ngsim_assets_tests.storage.tables import HERE, SAMPLES, THERE, logical, samples


@pytest.fixture
def live(lake: ParquetStorage) -> list[Path]:
    """Data files of a lake with one partition of two folders, and another partition."""
    lake.replace(SAMPLES, THERE, [samples(site="there")])
    lake.replace(SAMPLES, HERE, [samples()])
    return [lake.root / "samples" / file.path for file in lake.files(SAMPLES, HERE)]


def test_a_sound_lake_has_no_damage(lake: ParquetStorage, live: list[Path]) -> None:
    assert len(live) == 2
    assert lake.verify(SAMPLES) == []


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (_flip, "SHA-256 differs"),
        (Path.unlink, "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "bytes instead of"),
    ],
)
def test_damage_is_named_and_the_same_rows_mend_it(
    lake: ParquetStorage, live: list[Path], harm, problem: str
) -> None:
    harm(live[1])
    damage = lake.verify(SAMPLES)
    assert [(one.path, one.table, one.partition["site"]) for one in damage] == [
        (live[1], "samples", "here")
    ]
    assert problem in damage[0].problem
    assert "materialize" in damage[0].fix
    assert lake.verify(SAMPLES, THERE) == []
    assert lake.replace(SAMPLES, HERE, [samples()]).changed  # not taken for live content
    assert lake.verify(SAMPLES) == []
    assert lake.scan(SAMPLES, HERE).collect().sort("thing", "step").equals(logical(samples()))


def test_the_command_that_mends_a_partition_is_named(
    lake: ParquetStorage, live: list[Path]
) -> None:
    table = replace(SAMPLES, rebuilt_by="build {site}/{session}")
    seen: list[str] = []
    live[0].unlink()
    (damage,) = lake.verify(table, progress=lambda file: seen.append(file.path))
    assert damage.fix == "write it again from its input: build here/first"
    assert seen == [file.path for file in lake.files(table)]


def test_a_commit_that_cannot_be_read_is_damage(lake: ParquetStorage, live: list[Path]) -> None:
    from deltalake import DeltaTable

    DeltaTable(lake.root / "samples").create_checkpoint()
    commit = lake.root / "samples" / "_delta_log" / f"{1:020}.json"
    commit.write_text("{")
    (damage,) = ParquetStorage(lake.root).verify(SAMPLES)
    assert (damage.path, damage.problem) == (commit, "cannot be read: it is no commit record")
    assert "backup" in damage.fix


def test_a_file_that_cannot_be_read_is_named(lake: ParquetStorage, live: list[Path]) -> None:
    live[0].write_bytes(b"PAR1 no more")
    with pytest.raises(DamagedFile, match=live[0].name):
        list(lake.frames(SAMPLES, HERE))


def test_a_broken_log_is_named(lake: ParquetStorage, live: list[Path]) -> None:
    log = lake.root / "samples" / "_delta_log"
    (log / f"{1:020}.json").unlink()
    fresh = ParquetStorage(lake.root)
    missing = log / f"{1:020}.json"
    with pytest.raises(DamagedFile, match=rf"{missing.name}: it is missing \(put it back"):
        fresh.scan(SAMPLES)
    (damage,) = fresh.verify(SAMPLES)
    assert damage.path == missing


def _with_checkpoint(lake: ParquetStorage) -> Path:
    """The log after a checkpoint, and a commit since."""
    from deltalake import DeltaTable

    lake.replace(SAMPLES, HERE, [samples()])
    DeltaTable(lake.root / "samples").create_checkpoint()
    lake.replace(SAMPLES, HERE, [samples(4)])
    return lake.root / "samples" / "_delta_log"


_CHECKPOINT = f"{1:020}.checkpoint.parquet"


@pytest.mark.parametrize(
    "harm",
    [
        lambda log: (log / _CHECKPOINT).write_bytes(b""),
        lambda log: (log / _CHECKPOINT).write_bytes((log / _CHECKPOINT).read_bytes()[:400]),
        lambda log: (log / _CHECKPOINT).unlink(),
        lambda log: (log / "_last_checkpoint").write_text("?"),
        lambda log: (log / "_last_checkpoint").write_text('{"version": 77, "size": 3}'),
    ],
)
def test_damaged_checkpoints_do_no_harm(
    lake: ParquetStorage, harm: Callable[[Path], object]
) -> None:
    harm(_with_checkpoint(lake))
    fresh = ParquetStorage(lake.root)
    assert fresh.scan(SAMPLES).collect().height == 16
    assert fresh.verify(SAMPLES) == []
    assert fresh.replace(SAMPLES, HERE, [samples(2)]).version == 3
    assert [version.version for version in fresh.history(SAMPLES)] == [3, 2, 1, 0]


def test_a_checkpoint_that_replaces_commits_is_named_and_kept(lake: ParquetStorage) -> None:
    log = _with_checkpoint(lake)
    (log / f"{0:020}.json").unlink()
    (log / _CHECKPOINT).write_bytes(b"PAR1")
    with pytest.raises(DamagedFile, match=r"checkpoint.parquet: it is no checkpoint") as damaged:
        ParquetStorage(lake.root).scan(SAMPLES)
    assert damaged.value.path.exists()


def test_a_torn_last_commit_is_named_with_the_way_on(lake: ParquetStorage) -> None:
    log = _with_checkpoint(lake)
    newest = log / f"{2:020}.json"
    newest.write_bytes(newest.read_bytes()[:300])
    with pytest.raises(
        DamagedFile, match="or move it aside: the table then is what it was"
    ) as torn:
        ParquetStorage(lake.root).replace(SAMPLES, HERE, [samples()])
    assert torn.value.path == newest
    newest.rename(lake.root / "aside")
    fresh = ParquetStorage(lake.root)
    assert fresh.scan(SAMPLES).collect().height == 12
    assert fresh.replace(SAMPLES, HERE, [samples(4)]).version == 2


def test_an_empty_commit_changes_nothing(lake: ParquetStorage) -> None:
    log = _with_checkpoint(lake)
    (log / f"{3:020}.json").touch()
    fresh = ParquetStorage(lake.root)
    assert fresh.scan(SAMPLES).collect().height == 16
    assert fresh.replace(SAMPLES, HERE, [samples(2)]).version == 4
    assert fresh.verify(SAMPLES) == []
    told = DataVersionManager(fresh).versions(SAMPLES)
    assert [version.number for version in told] == [4, 2, 1, 0]
    assert DataVersionManager(fresh).find(SAMPLES, told[1].timestamp.isoformat()).number == 2
