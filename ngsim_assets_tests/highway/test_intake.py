"""Taking files in: every row once, in its partition, however often and in whatever form."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.highway.errors import (
    BadPartitionKey,
    CutAtExcelLimit,
    EmptySource,
    NoFilesInFolder,
    SourceUnreadable,
    UnknownHighway,
    UnknownSite,
)
from ngsim_assets.highway.intake import (
    Intake,
    IntakeProgress,
    Rejected,
    recording_t0,
    take_in,
    take_in_all,
)
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.simulation.write_source import write_source
from ngsim_assets.highway.sites import I_80, LANKERSHIM
from ngsim_assets_tests.highway.deliveries import EARLY, LATER, WEST, delivered, rows, values


@pytest.fixture
def zone(tmp_path: Path) -> LandingZone:
    return LandingZone(tmp_path / "landing")


class TestRealExcerpts:
    def test_peachtree_export(self, real_data: Path, zone: LandingZone) -> None:
        (intake,) = take_in(real_data / "ngsim" / "peachtree_socrata_export_10000_rows.csv", zone)
        assert intake.partitions == {
            "peachtree|2006-11-08T1245": 7619,
            "peachtree|2006-11-08T1600": 2381,
        }
        assert (intake.rows, intake.unassigned) == (10_000, 0)
        assert [recording_t0(zone, key) for key in intake.keys] == [1163018600, 1163030300]
        tracks = sum(delivered(zone, key)["vehicle_id"].n_unique() for key in intake.keys)
        assert tracks == 229

    def test_freeway_excerpt(self, real_data: Path, zone: LandingZone) -> None:
        (intake,) = take_in(real_data / "ngsim" / "us101_i80_excerpt_feet.csv", zone)
        assert intake.partitions == {
            "i-80|2005-04-13T1600": 2491,
            "i-80|2005-04-13T1700": 1323,
            "us-101|2005-06-15T0750": 1804,
            "us-101|2005-06-15T0805": 2441,
            "us-101|2005-06-15T0820": 2537,
        }
        for key in intake.keys:
            frame = delivered(zone, key)
            clock = frame["global_time"] - 100 * frame["frame_id"].cast(pl.Int64)
            assert clock.unique().to_list() == [recording_t0(zone, key)]


corpus = pl.concat(
    [
        rows(vehicles=4, frames=30),
        rows(recording=1, vehicles=3, frames=25),
        rows(I_80, vehicles=2, frames=20),
        rows(I_80, t0=1113490000000, vehicles=2, frames=60),
    ]
)
CORPUS_KEYS = [str(EARLY), str(LATER), str(WEST), "i-80|2005-04-14T0746"]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    order=st.randoms(use_true_random=False),
    cuts=st.lists(st.integers(0, corpus.height), max_size=3),
    layouts=st.lists(st.sampled_from(["export", "api", "export.gz"]), min_size=4, max_size=4),
)
def test_order_division_and_form_do_not_matter(
    tmp_path_factory: pytest.TempPathFactory,
    order: Random,
    cuts: list[int],
    layouts: list[str],
) -> None:
    folder = tmp_path_factory.mktemp("intake")
    expected = LandingZone(folder / "expected")
    write_source(corpus, folder / "all.csv", "export")
    take_in(folder / "all.csv", expected)
    assert expected.partitions() == sorted(CORPUS_KEYS)

    zone = LandingZone(folder / "landing")
    places = list(range(corpus.height))
    order.shuffle(places)
    bounds = [0, *sorted(cuts), corpus.height]
    total = 0
    for number, layout in enumerate(layouts[: len(bounds) - 1]):
        part = corpus[places[bounds[number] : bounds[number + 1]]]
        if part.height == 0:
            continue
        name, _, packed = layout.partition(".")
        path = folder / f"{number}.csv{'.gz' if packed else ''}"
        write_source(part, path, "api" if name == "api" else "export")
        (intake,) = take_in(path, zone)
        total += intake.rows
        assert intake.rows == sum(intake.partitions.values()) + intake.unassigned
    if len(cuts) == 0:
        assert zone.partitions() == expected.partitions()
    rows_kept = sum(item.rows for key in zone.partitions() for item in zone.deliveries(key))
    assert rows_kept == total == corpus.height
    for key in CORPUS_KEYS[:3]:
        assert zone.partition_hash(key) == expected.partition_hash(key)
        parsed = PartitionKey.parse(key)
        assert values(delivered(zone, parsed)).equals(values(delivered(expected, parsed)))


@pytest.mark.parametrize("batch_rows", [1, 7, 64])
def test_batch_size_does_not_matter(
    tmp_path: Path, zone: LandingZone, monkeypatch: pytest.MonkeyPatch, batch_rows: int
) -> None:
    from ngsim_assets.highway.arrival import file_intake as module

    write_source(corpus, tmp_path / "all.csv", "export", shuffle=1)
    take_in(tmp_path / "all.csv", zone)
    whole = module.read_batches
    monkeypatch.setattr(
        module, "read_batches", lambda *a, **k: whole(*a, batch_rows=batch_rows, **k)
    )
    monkeypatch.setattr("ngsim_assets.highway.arrival.spill._OWN_PARTS_ROWS", 30)
    other = LandingZone(tmp_path / "other")
    take_in(tmp_path / "all.csv", other)
    assert other.partitions() == zone.partitions()
    for key in CORPUS_KEYS:
        assert other.partition_hash(key) == zone.partition_hash(key)
        parsed = PartitionKey.parse(key)
        assert delivered(other, parsed).equals(delivered(zone, parsed))


def test_text_and_export_of_a_freeway_agree(tmp_path: Path, zone: LandingZone) -> None:
    one_decimal = [pl.col(name) // 10 * 10 for name in ("v_length", "v_width")]
    recording = rows(vehicles=4).with_columns(one_decimal)
    write_source(recording, tmp_path / "a.txt", "text")
    take_in(tmp_path / "a.txt", zone)
    before, frame = zone.partition_hash(str(EARLY)), delivered(zone, EARLY)
    write_source(recording, tmp_path / "rows.csv", "export", shuffle=2)
    (intake,) = take_in(tmp_path / "rows.csv", zone)
    assert intake.changed
    assert zone.partition_hash(str(EARLY)) == before
    assert delivered(zone, EARLY).equals(frame), "the same rows again say nothing new"


class TestAgain:
    def test_twice_is_once(self, tmp_path: Path, zone: LandingZone) -> None:
        path = tmp_path / "a.csv"
        write_source(rows(), path, "export")
        (first,) = take_in(path, zone)
        tree = sorted(zone.root.rglob("*"))
        (second,) = take_in(path, zone)
        assert (first.changed, second.changed) == (True, False)
        assert second.partitions == first.partitions
        os.utime(path)
        (third,) = take_in(path, zone)
        assert (third.changed, third.note) == (False, "unchanged")
        assert sorted(zone.root.rglob("*")) == tree

    def test_new_content_replaces_the_old(self, tmp_path: Path, zone: LandingZone) -> None:
        path = tmp_path / "a.csv"
        write_source(rows(), path, "export")
        take_in(path, zone)
        write_source(rows(recording=1), path, "export")
        (intake,) = take_in(path, zone)
        assert intake.changed
        assert intake.keys == [LATER]
        assert zone.partitions() == [str(LATER)]

    def test_what_loses_rows_is_named_too(self, tmp_path: Path, zone: LandingZone) -> None:
        path, other = tmp_path / "a.csv", tmp_path / "b.csv"
        write_source(pl.concat([rows(), rows(I_80)]), path, "export")
        write_source(rows(seed=1), other, "export")
        take_in(path, zone)
        take_in(other, zone)
        shutil.copy(other, path)
        (intake,) = take_in(path, zone)
        assert intake.changed
        assert intake.touched == {str(EARLY)}, "i-80 is delivered by nobody any more"
        assert zone.partitions() == [str(EARLY)]
        assert len(zone.files()) == 1

    def test_copy_and_rename(self, tmp_path: Path, zone: LandingZone) -> None:
        path = tmp_path / "a.csv"
        write_source(rows(), path, "export")
        take_in(path, zone)
        frame = delivered(zone, EARLY)
        copy = Path(shutil.copy(path, tmp_path / "copy.csv"))
        (intake,) = take_in(copy, zone)
        assert not intake.changed
        assert str(path) in intake.note
        renamed = copy.rename(tmp_path / "renamed.csv")
        take_in(renamed, zone)
        with gzip.open(tmp_path / "packed.gz", "wb") as packed:
            packed.write(path.read_bytes())
        (intake,) = take_in(tmp_path / "packed.gz", zone)
        assert not intake.changed
        assert len(zone.files()) == 1
        assert delivered(zone, EARLY).equals(frame)

    def test_told_otherwise_is_taken_in_again(self, tmp_path: Path, zone: LandingZone) -> None:
        path = tmp_path / "a.txt"
        write_source(rows(t0=1700000000000), path, "text")
        take_in(path, zone, highway="I80")
        assert zone.partitions() == ["i-80|2023-11-14T1413"]
        assert not take_in(path, zone)[0].changed, "what was told once holds"
        take_in(path, zone, highway="us-101", recording="2005-06-15T0750")
        assert zone.partitions() == [str(EARLY)]

    def test_a_recording_keeps_its_name_when_its_file_grows(
        self, tmp_path: Path, zone: LandingZone
    ) -> None:
        path = tmp_path / "a.csv"
        whole = rows(t0=1700000000000, frames=1500)
        write_source(whole.filter(pl.col("frame_id") > 1000), path, "export")
        take_in(path, zone)
        write_source(whole, path, "export")
        take_in(path, zone)
        assert zone.partitions() == ["us-101|2023-11-14T1415"]


class TestArchives:
    def test_members_are_deliveries_of_their_own(self, tmp_path: Path, zone: LandingZone) -> None:
        for name, number in {"a.txt": 0, "b.txt": 1}.items():
            write_source(rows(recording=number), tmp_path / name, "text")
        archive = tmp_path / "us-101.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            packed.write(tmp_path / "a.txt", "data/a.txt")
            packed.write(tmp_path / "b.txt", "data/b.txt")
            packed.writestr("readme.txt", "what this is\n")
        first, second = take_in(archive, zone)
        assert (first.name, second.name) == (
            "us-101.zip!data/a.txt",
            "us-101.zip!data/b.txt",
        )
        assert zone.partitions() == [str(EARLY), str(LATER)]
        assert [intake.note for intake in take_in(archive, zone)] == ["unchanged"] * 2
        with zipfile.ZipFile(archive, "w") as packed:
            packed.write(tmp_path / "b.txt", "data/b.txt")
        kept, gone = take_in(archive, zone)
        assert (kept.name, kept.changed) == ("us-101.zip!data/b.txt", False)
        assert (gone.name, gone.note) == ("us-101.zip!data/a.txt", "no longer in us-101.zip")
        assert zone.partitions() == [str(LATER)]

    def test_one_bad_member_does_not_stop_the_others(
        self, tmp_path: Path, zone: LandingZone
    ) -> None:
        write_source(rows(), tmp_path / "a.txt", "text")
        write_source(rows(t0=1700000000000), tmp_path / "b.csv", "csv")
        archive = tmp_path / "x.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            packed.write(tmp_path / "b.csv", "b.csv")
            packed.write(tmp_path / "a.txt", "a.txt")
        bad, good = take_in_all([archive], zone)
        assert isinstance(bad, Rejected)
        assert isinstance(bad.error, UnknownSite)
        assert isinstance(good, Intake)
        assert good.partitions == {str(EARLY): 120}
        assert [entry.member for entry in zone.rejected()] == ["b.csv"]
        with pytest.raises(UnknownSite):
            take_in(archive, zone)

    def test_a_spreadsheet_copy_beside_the_whole_file_is_no_failure(
        self, tmp_path: Path, zone: LandingZone, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("ngsim_assets.highway.source.EXCEL_ROWS", 101)
        recording = rows()
        write_source(recording, tmp_path / "a.txt", "text")
        write_source(recording.head(100), tmp_path / "a.csv", "csv")
        archive = tmp_path / "x.zip"
        with zipfile.ZipFile(archive, "w") as packed:
            packed.write(tmp_path / "a.csv", "a.csv")
            packed.write(tmp_path / "a.txt", "a.txt")
        whole, cut = take_in(archive, zone)
        assert whole.rows == 120
        assert (cut.rows, cut.keys) == (0, [])
        assert "whole in the same archive" in cut.sentence()
        assert zone.rejected() == []
        with pytest.raises(CutAtExcelLimit):
            take_in(tmp_path / "a.csv", zone)


class TestBadInput:
    def test_a_bad_file_does_not_stop_the_others(self, tmp_path: Path, zone: LandingZone) -> None:
        folder = tmp_path / "in" / "deep"
        folder.mkdir(parents=True)
        write_source(rows(), folder / "good.txt", "text")
        (folder / "empty.txt").touch()
        (folder / ".hidden").write_text("not looked at")
        (tmp_path / "in" / ".git").mkdir()
        (tmp_path / "in" / ".git" / "x").write_text("not looked at")
        (tmp_path / "nothing").mkdir()
        paths = [tmp_path / "none.txt", tmp_path / "nothing", tmp_path / "in"]
        results = list(take_in_all(paths, zone))
        kinds = [
            type(result.error) if isinstance(result, Rejected) else type(result)
            for result in results
        ]
        assert kinds == [SourceUnreadable, NoFilesInFolder, EmptySource, Intake]
        assert [Path(entry.path).name for entry in zone.rejected()] == ["empty.txt"]
        write_source(rows(recording=1), folder / "empty.txt", "text")
        take_in(folder / "empty.txt", zone)
        assert zone.rejected() == []

    def test_bad_arguments(self, tmp_path: Path, zone: LandingZone) -> None:
        with pytest.raises(UnknownHighway, match="us-101, i-80"):
            take_in(tmp_path, zone, highway="a-1")
        with pytest.raises(BadPartitionKey):
            take_in(tmp_path, zone, recording="../x")

    def test_a_bad_new_content_leaves_the_old(self, tmp_path: Path, zone: LandingZone) -> None:
        path = tmp_path / "a.txt"
        write_source(rows(), path, "text")
        take_in(path, zone)
        path.write_text("")
        with pytest.raises(EmptySource):
            take_in(path, zone)
        assert zone.partitions() == [str(EARLY)]
        assert len(zone.rejected()) == 1


def test_coordinates_tell_a_site_the_clock_does_not(tmp_path: Path, zone: LandingZone) -> None:
    from ngsim_assets.highway.validation.geodesy import projection

    box = projection(LANKERSHIM)
    recording = rows(LANKERSHIM, t0=1700000000000).with_columns(
        global_x=pl.lit(round((box.easting.low + box.easting.high) * 500), pl.Int64),
        global_y=pl.lit(round((box.northing.low + box.northing.high) * 500), pl.Int64),
    )
    write_source(recording, tmp_path / "a.csv", "export")
    lines = (tmp_path / "a.csv").read_text(encoding="utf-8-sig").splitlines()
    (tmp_path / "b.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    (intake,) = take_in(tmp_path / "b.csv", zone)
    assert intake.partitions == {"lankershim|2023-11-14T1413": 120}


def test_progress_and_summary(tmp_path: Path, zone: LandingZone) -> None:
    path = tmp_path / "a.csv"
    write_source(rows(), path, "export")
    seen: list[IntakeProgress] = []
    (intake,) = take_in(path, zone, progress=seen.append)
    assert (seen[-1].bytes_done, seen[-1].bytes_total) == (path.stat().st_size,) * 2
    assert (seen[-1].rows, seen[-1].name) == (120, "a.csv")
    assert intake.summary()["partitions"] == {str(EARLY): 120}
    assert intake.sentence() == "a.csv: 120 rows (us-101|2005-06-15T0750 120)"


TAKER = """
    import sys, time
    from pathlib import Path
    from ngsim_assets.acquisition.landing import LandingZone
    from ngsim_assets.highway import intake

    zone, path, stop = LandingZone(Path(sys.argv[1])), Path(sys.argv[2]), sys.argv[3] == "stop"

    def progress(seen):
        print(seen.rows, flush=True)
        if stop:
            time.sleep(60)

    print(intake.take_in(path, zone, progress=progress)[0].rows, flush=True)
"""


@contextmanager
def taker(zone: LandingZone, path: Path, mode: str) -> Iterator[subprocess.Popen[str]]:
    arguments: Sequence[str] = [
        sys.executable, "-c", textwrap.dedent(TAKER), str(zone.root), str(path), mode,
    ]  # fmt: skip
    repository = Path(__file__).resolve().parents[2]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=repository) as process:
        try:
            yield process
        finally:
            process.kill()


def test_killed_and_then_two_at_once(tmp_path: Path, zone: LandingZone) -> None:
    path = tmp_path / "a.csv"
    write_source(corpus, path, "export")
    with taker(zone, path, "stop") as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == str(corpus.height)
    assert zone.files() == []
    assert len(list((zone.root / ".staging").iterdir())) == 2, "a folder and its lock are left"
    with taker(zone, path, "go") as first, taker(zone, path, "go") as second:
        for process in (first, second):
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 0
            assert output.split()[-1] == str(corpus.height)
    assert len(zone.files()) == 1
    assert zone.partitions() == sorted(CORPUS_KEYS)
    assert delivered(zone, EARLY).height == 120
    assert list((zone.root / ".staging").iterdir()) == []
