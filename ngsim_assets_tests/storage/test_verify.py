"""Damage is found, told and mended by running the stage again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ngsim_assets.storage.errors import DamagedFile
from ngsim_assets.storage.parquet import ParquetStorage
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
    with pytest.raises(DamagedFile, match="_delta_log"):
        fresh.scan(SAMPLES)
    (damage,) = fresh.verify(SAMPLES)
    assert damage.path == log
