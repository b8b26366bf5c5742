"""From any row back to the line of the delivered file: as a command, and in SQL."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import deltalake
import polars as pl
import pytest

from ngsim_assets.highway import model, reporting, sql_catalog, stages
from ngsim_assets.highway.lineage import NothingStored, Traced, Tracer
from ngsim_assets.highway.row_lineage import Chosen, account, ranges
from ngsim_assets.highway.simulation.write_source import write_source
from ngsim_assets.highway.stages import Platform
from ngsim_assets_tests.command import Ngsim
from ngsim_assets_tests.highway.deliveries import EARLY, LATER
from ngsim_assets_tests.highway.odd_files import driven
from ngsim_assets_tests.highway.whole_path import build, taken_in

VEHICLES, FRAMES = 4, 80


def _delivered() -> pl.DataFrame:
    """Four vehicles; of vehicle 2 five frames are missing and one row is spoiled."""
    rows = driven(VEHICLES, FRAMES)
    of_two = pl.col("vehicle_id") == 2
    missing = of_two & pl.col("frame_id").is_between(50, 54)
    spoiled = of_two & (pl.col("frame_id") == 70)
    return rows.filter(~missing).with_columns(
        v_class=pl.when(spoiled).then(9).otherwise("v_class").cast(rows.schema["v_class"])
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Platform]:
    """A recording through every stage, with its report: the file, and the platform."""
    folder = tmp_path_factory.mktemp("lineage")
    path = folder / "trajectories.txt"
    write_source(_delivered(), path, "text", shuffle=1)
    platform, (key,) = taken_in(folder / "data", path)
    build(platform, key)
    reporting.store_report(platform, key)
    sql_catalog.write(platform)
    return path, platform


@pytest.fixture
def own(built: tuple[Path, Platform], tmp_path: Path) -> Platform:
    """The same platform in a folder that a test may break."""
    _, platform = built
    data = tmp_path / "data"
    shutil.copytree(platform.catalog.parent, data)
    opened, _ = taken_in(data)
    return opened


def _by_table(traced: Traced) -> dict[str, Traced]:
    return {one.made.table: one for one in traced.walk()}


def test_the_report_leads_back_to_the_file(built: tuple[Path, Platform]) -> None:
    path, platform = built
    traced = Tracer(platform, EARLY).trace(model.QUALITY_METRICS)
    before = {one.made.table: [each.made.table for each in one.sources] for one in traced.walk()}
    assert "cleaned_trajectories" in before["quality_metrics"]
    assert before["cleaned_trajectories"] == ["validated_points"]
    assert before["validated_points"] == ["raw_trajectories"]
    assert [gap for one in traced.walk() for gap in one.gaps] == []
    assert traced.report is not None
    assert traced.report.exists()
    raw = _by_table(traced)["raw_trajectories"]
    assert (raw.made.version, raw.semantic) == (1, "v1.1.0")
    (file,) = raw.files
    assert file.file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (file.file.path, file.delivered, file.at_path) == (str(path), True, "unchanged")
    for one in traced.walk():
        assert one.made.provenance.run_id == "local"
        assert one.made.provenance.code_version
    assert _by_table(traced)["cleaned_trajectories"].made.provenance.parameters["gap_limit"] == 2.0


def test_what_became_of_a_vehicle(built: tuple[Path, Platform]) -> None:
    _, platform = built
    told = account(platform, Tracer(platform, EARLY).trace_all(), Chosen(vehicle=2))
    assert (told.raw, told.validated, told.quarantined) == (FRAMES - 5, FRAMES - 6, 1)
    assert told.states["imputed"] == 6
    assert sum(told.states.values()) == FRAMES
    (reason,) = told.reasons
    assert told.imputed_for == {"not delivered": 5, reason: 1}
    (read,) = told.read_from
    assert read.file is not None
    assert (read.name, read.rows) == ("trajectories.txt", FRAMES - 5)
    assert told.gaps == []


def test_what_became_of_a_line(built: tuple[Path, Platform]) -> None:
    path, platform = built
    spoiled = platform.lake.scan(model.QUARANTINE, stages.identity(EARLY)).collect()
    (line,) = spoiled["source_row"].to_list()
    assert path.read_text().splitlines()[line - 1].split()[:2] == ["2", "70"]
    roots = Tracer(platform, EARLY).trace_all()
    told = account(platform, roots, Chosen(row=line, file="trajectories.txt"))
    assert (told.raw, told.validated, told.quarantined) == (1, 0, 1)
    assert account(platform, roots, Chosen(row=line, file="other.txt")).rows == 0


def test_ranges_are_short() -> None:
    assert ranges(pl.Series([7, 2, 3, 4, 9, 10])) == "2-4, 7, 9-10"
    assert ranges(pl.Series([], dtype=pl.Int64)) == ""


def _reading(first: str) -> str:
    """The SQL of READING.md that begins so."""
    page = (Path(__file__).parents[2] / "docs" / "READING.md").read_text()
    blocks = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    return next(block for block in blocks if block.startswith(first))


def test_sql_leads_from_a_cleaned_row_to_the_line(built: tuple[Path, Platform]) -> None:
    path, platform = built
    sql = _reading("SELECT p.vehicle_id").replace("vehicle_id = 17", "vehicle_id = 2")
    with sql_catalog.ask(platform, sql) as connection:
        rows = connection.sql(sql).fetchall()
    assert len(rows) == FRAMES
    lines = path.read_text().splitlines()
    for vehicle, frame, state, row, sha256, at, member in rows:
        if state == "imputed":
            assert (row, sha256) == (None, None)
            continue
        assert lines[row - 1].split()[:2] == [str(vehicle), str(frame)]
        assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert (at, member) == (str(path), None)


def test_sql_leads_from_the_metrics_to_the_file(built: tuple[Path, Platform]) -> None:
    path, platform = built
    sql = _reading("WITH RECURSIVE")
    with sql_catalog.ask(platform, sql) as connection:
        rows = connection.sql(sql).pl()
    assert set(rows["source"]) >= {"cleaned_trajectories", "raw_trajectories", path.name}
    assert rows["sha256"].drop_nulls().to_list() == [hashlib.sha256(path.read_bytes()).hexdigest()]


def test_the_catalog_file_has_every_listing(built: tuple[Path, Platform]) -> None:
    import duckdb

    path, platform = built
    with duckdb.connect(platform.catalog, read_only=True) as connection:
        delivered = connection.sql(
            "SELECT name, partition, rows, same_rows_as FROM catalog.deliveries"
        ).fetchall()
        assert delivered == [(path.name, str(EARLY), VEHICLES * FRAMES - 5, None)]
        (taken,) = connection.sql("SELECT taken_in IS NOT NULL FROM catalog.deliveries").fetchall()
        assert taken == (True,)
        assert connection.sql("SELECT count(*) FROM catalog.rejected").fetchall() == [(0,)]
        sources = connection.sql(
            "SELECT DISTINCT table_name, source FROM catalog.lineage WHERE source IS NOT NULL"
        ).fetchall()
    assert set(sources) >= {
        ("raw_trajectories", path.name),
        ("validated_points", "raw_trajectories"),
        ("quarantine", "raw_trajectories"),
        ("cleaned_trajectories", "validated_points"),
        ("trajectory_segments", "cleaned_trajectories"),
        ("traffic_state", "cleaned_trajectories"),
        ("quality_metrics", "cleaned_trajectories"),
    }


class TestGaps:
    """What the record cannot tell is told."""

    def _gaps(self, platform: Platform, table: model.Table = model.QUALITY_METRICS) -> list[str]:
        traced = Tracer(platform, EARLY).trace(table)
        return [f"{one.made.table}: {gap}" for one in traced.walk() for gap in one.gaps]

    def test_rows_made_from_an_older_version(self, own: Platform) -> None:
        rows = own.lake.scan(model.VALIDATED_POINTS, stages.identity(EARLY)).collect()
        own.lake.replace(model.VALIDATED_POINTS, stages.identity(EARLY), [rows.head(100)])
        (gap,) = self._gaps(own, model.CLEANED_TRAJECTORIES)
        assert gap.startswith(
            "cleaned_trajectories: made from version 1 of validated_points, which has other rows"
        )
        told = account(own, Tracer(own, EARLY).trace_all(), Chosen(vehicle=2))
        assert told.validated == FRAMES - 6, "the rows the points were made from"
        assert told.gaps == []
        own.lake.replace(model.QUARANTINE, {**stages.identity(EARLY), "stage": "validated"}, [])
        told = account(own, Tracer(own, EARLY).trace_all(), Chosen(vehicle=2))
        assert (told.quarantined, told.gaps) == (1, []), "as the metrics were made from it"
        assert self._gaps(own, model.VALIDATED_POINTS) == [
            "validated_points: the record names nothing it was made from"
        ]

    def test_files_that_are_gone(self, own: Platform) -> None:
        for table in (model.RAW_TRAJECTORIES, model.VALIDATED_POINTS):
            for file in own.lake.files(table):
                (own.lake.root / table.name / file.path).unlink()
        gaps = self._gaps(own)
        assert sum("data file gone" in gap for gap in gaps) == len(
            [*own.lake.files(model.RAW_TRAJECTORIES), *own.lake.files(model.VALIDATED_POINTS)]
        )
        told = account(own, Tracer(own, EARLY).trace_all(), Chosen(vehicle=2))
        assert told.raw == 0
        assert len(told.gaps) == 2
        assert sum(told.states.values()) == FRAMES

    def test_rows_of_another_program(self, own: Platform) -> None:
        folder = str(own.lake.root / model.CLEANED_TRAJECTORIES.name)
        rows = own.lake.scan(model.CLEANED_TRAJECTORIES).collect()
        deltalake.write_deltalake(folder, rows, mode="overwrite")
        assert any(
            "another program made it" in gap for gap in self._gaps(own, model.CLEANED_TRAJECTORIES)
        )
        assert any("which has other rows" in gap for gap in self._gaps(own))

    def test_a_source_that_no_table_ever_held(self, own: Platform) -> None:
        shutil.rmtree(own.lake.root / model.RAW_TRAJECTORIES.name)
        (gap,) = self._gaps(own, model.VALIDATED_POINTS)
        assert "made from rows that no version of any table has" in gap

    def test_a_report_of_other_metrics(self, own: Platform) -> None:
        folder = reporting.report_folder(own.reports, EARLY)
        report = json.loads((folder / "report.json").read_text())
        report["origin"]["version"] = 77
        (folder / "report.json").write_text(json.dumps(report))
        assert ["of version 77" in gap for gap in self._gaps(own)] == [True]
        (folder / "report.json").write_text("{")
        assert ["cannot be read" in gap for gap in self._gaps(own)] == [True]
        (folder / "report.json").unlink()
        assert ["no report of these metrics" in gap for gap in self._gaps(own)] == [True]

    def test_a_file_that_moved_on(self, built: tuple[Path, Platform], own: Platform) -> None:
        path, _ = built
        lined = path.read_bytes()
        try:
            path.write_bytes(lined + b"\n")
            (file,) = _by_table(Tracer(own, EARLY).trace(model.RAW_TRAJECTORIES))[
                "raw_trajectories"
            ].files
            assert (file.delivered, file.at_path) == (True, "changed")
        finally:
            path.write_bytes(lined)

    def test_nothing_stored(self, own: Platform) -> None:
        with pytest.raises(NothingStored, match="the lake holds no rows"):
            Tracer(own, LATER).trace_all()


class TestCommand:
    """ngsim lineage, ngsim query --version, ngsim vehicle --version."""

    @pytest.fixture
    def told(self, ngsim: Ngsim, own: Platform, monkeypatch: pytest.MonkeyPatch) -> Ngsim:
        monkeypatch.setenv("NGSIM_DATA", str(own.catalog.parent))
        return ngsim

    def test_lineage(self, told: Ngsim, built: tuple[Path, Platform]) -> None:
        out, _ = told("lineage", EARLY)
        assert out.index("quality_metrics") < out.index("raw_trajectories") < out.index("sha256")
        assert "as above" in out
        assert str(built[0]) in out
        out, _ = told("lineage", EARLY, "--vehicle", 2)
        assert "74 accepted" in out
        assert "5 imputed where the row was not delivered" in out
        out, _ = told("lineage", EARLY, "--vehicle", 2, "--json")
        assert json.loads(out)["rows"]["states"]["imputed"] == 6
        out, _ = told("lineage", EARLY, "--table", "traffic_state", "--json")
        (root,) = json.loads(out)["tables"]
        assert root["made_from"][0]["table"] == "cleaned_trajectories"
        _, err = told("lineage", EARLY, "--vehicle", 99, code=1)
        assert "no vehicle 99" in err
        _, err = told("lineage", EARLY, "--row", 100_000, code=1)
        assert "no row read from line 100000" in err
        _, err = told("lineage", EARLY, "--table", "corpus_summary", code=2)
        assert "tables: raw_trajectories" in err
        _, err = told("lineage", LATER, code=1)
        assert f"did you mean {EARLY}?" in err

    def test_then_and_now(self, told: Ngsim, own: Platform) -> None:
        place = stages.identity(EARLY)
        rows = own.lake.scan(model.CLEANED_TRAJECTORIES, place).collect()
        own.lake.replace(model.CLEANED_TRAJECTORIES, place, [rows.filter(pl.col("vehicle_id") < 4)])
        first = own.lake.history(model.CLEANED_TRAJECTORIES)[1].timestamp
        count = "SELECT count(*) AS n FROM cleaned_trajectories"

        def answer(sql: str, *versions: str) -> list[dict[str, object]]:
            asked = [word for version in versions for word in ("--version", version)]
            return json.loads(told("query", sql, *asked, "--json")[0])

        assert answer(count) == [{"n": 3 * FRAMES}]
        for version in ("cleaned_trajectories@-1", "cleaned_trajectories@1", first.isoformat()):
            assert answer(count, version) == [{"n": VEHICLES * FRAMES}]
        assert answer(count, "cleaned_trajectories@v1.1.0") == [{"n": VEHICLES * FRAMES}]
        both = """
            SELECT vehicle_id FROM "cleaned_trajectories@1"
            EXCEPT SELECT vehicle_id FROM now.cleaned_trajectories
        """
        assert answer(both, "cleaned_trajectories@1") == [{"vehicle_id": 4}]
        compared = answer(_reading("SELECT vehicle_id, count"), "cleaned_trajectories@-1")
        assert [line["moved"] for line in compared] == [0, 0, 0]
        later_stage = "SELECT count(*) AS n FROM traffic_state"
        assert answer(later_stage, first.isoformat()) == [{"n": 0}]
        for version, problem in {
            "cleaned_trajectories@99": "no version 99",
            "cleaned_trajectories@soon": "names no version",
            "points@1": "no table points",
            "soon": "names no time and no version",
            "@-1": "names no time and no version",
            "1999-12-31": "nothing was stored yet",
        }.items():
            _, err = told("query", count, "--version", version, code=2)
            assert problem in err
        out, _ = told("vehicle", EARLY, 4, "--version", "@-1", "--json")
        assert len(json.loads(out)) == FRAMES
        _, err = told("vehicle", EARLY, 4, code=1)
        assert "no vehicle 4" in err
        _, err = told("vehicle", EARLY, 4, "--version", "9", code=2)
        assert "no version 9" in err
        for file in own.lake.files(model.CLEANED_TRAJECTORIES, version=1):
            (own.lake.root / model.CLEANED_TRAJECTORIES.name / file.path).unlink()
        _, err = told("query", count, "--version", "cleaned_trajectories@1", code=1)
        assert "vacuum" in err
