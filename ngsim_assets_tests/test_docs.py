"""The pages that are made from the code are those the code makes, and the examples run."""

from __future__ import annotations

import re
from datetime import date
from functools import partial
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from ngsim_assets.f1.pages import rules_page as f1_rules_page
from ngsim_assets.f1.tables import TABLES
from ngsim_assets.highway import model
from ngsim_assets.highway.assessment.catalogue import metrics_page
from ngsim_assets.highway.questions import rules_page, schema_page
from ngsim_assets.observability.page import monitoring_page
from ngsim_assets.quality.comparison import comparison_schema
from ngsim_assets.quality.report import report_schema
from ngsim_assets.storage import catalog
from ngsim_assets.storage.parquet import ParquetStorage

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("DATA_SCHEMAS.md", partial(schema_page, TABLES)),
        ("RULES.md", rules_page),
        ("F1_RULES.md", f1_rules_page),
        ("METRICS.md", metrics_page),
        ("MONITORING.md", monitoring_page),
        ("quality_report.schema.json", report_schema),
        ("quality_comparison.schema.json", comparison_schema),
    ],
)
def test_generated_pages_are_current(name: str, page: object) -> None:
    assert callable(page)
    assert (DOCS / name).read_text() == page(), "run make docs"


def test_links_between_pages_lead_somewhere() -> None:
    for page in (*DOCS.glob("*.md"), DOCS.parent / "README.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.fixture
def lake(tmp_path: Path) -> ParquetStorage:
    """A lake with one segment and one point of one truck."""
    storage = ParquetStorage(tmp_path / "lake")
    here = {"highway_id": "us-101", "recording": "2005-06-15T0750"}
    known = {**here, "vehicle_type": "truck", "date": date(2005, 6, 15), "vehicle_id": 7}
    values = {"lanes": [1], "lane_id": 1, "speed": 12.5}
    for table in (model.TRAJECTORY_SEGMENTS, model.CLEANED_TRAJECTORIES):
        row = {name: {**known, **values}.get(name) for name in table.schema}
        storage.replace(table, here, [pl.DataFrame([row], schema=table.schema)])
    catalog.write_catalog(tmp_path / "ngsim.duckdb", storage, model.TABLES.values())
    return storage


def _example(first_lines: str, folder: Path) -> dg.Definitions:
    """The definitions of the example in READING.md that begins so, word for word but for paths."""
    page = (DOCS / "READING.md").read_text()
    code = next(
        block
        for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        if block.startswith(first_lines)
    )
    namespace: dict[str, object] = {"__name__": "example"}
    exec(compile(code.replace("data/", f"{folder}/"), "READING.md", "exec"), namespace)  # noqa: S102 - our own page
    definitions = namespace["defs"]
    assert isinstance(definitions, dg.Definitions)
    return definitions


def test_assets_of_ones_own_take_tables_as_inputs(lake: ParquetStorage) -> None:
    pytest.importorskip("dagster_polars", reason="the io extra is not installed")
    definitions = _example("import dagster as dg\nimport polars", lake.root.parent)
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance).success
    assert pl.read_delta(str(lake.root / "trucks"))["vehicle_id"].to_list() == [7]


def test_assets_of_ones_own_ask_the_catalog(lake: ParquetStorage) -> None:
    pytest.importorskip("dagster_duckdb", reason="the io extra is not installed")
    definitions = _example("import dagster as dg\nfrom dagster_duckdb", lake.root.parent)
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance)
    (made,) = result.asset_materializations_for_node("lane_speeds")
    assert made.metadata["lanes"].value == 1


def _cleaning(language: str) -> list[str]:
    page = (DOCS / "CLEANING.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@pytest.fixture
def marked(lake: ParquetStorage) -> ParquetStorage:
    """The lake with vehicle 7 plain, 8 flagged, 9 with a point nobody saw."""
    here = {"highway_id": "us-101", "recording": "2005-06-15T0750"}
    truck = {**here, "vehicle_type": "truck", "date": date(2005, 6, 15)}
    states = {(7, 1): "observed", (8, 1): "observed", (9, 1): "observed", (9, 2): "imputed"}
    rows = [
        {**truck, "vehicle_id": vehicle, "frame": frame, "state": state}
        for (vehicle, frame), state in states.items()
    ]
    flagged = [
        {**row, "flags": ["gap"] if row["vehicle_id"] == 8 else []}
        for row in rows
        if row["state"] == "observed"
    ]
    for table, told in ((model.CLEANED_TRAJECTORIES, rows), (model.VALIDATED_POINTS, flagged)):
        full = [{name: row.get(name) for name in table.schema} for row in told]
        lake.replace(table, here, [pl.DataFrame(full, schema=table.schema)])
    return lake


def test_examples_of_leaving_points_out_and_of_cleaning_by_hand_run(marked: ParquetStorage) -> None:
    known: dict[str, object] = {}
    for code in _cleaning("python"):
        there = code.replace("data/", f"{marked.root.parent}/")
        exec(compile(there, "CLEANING.md", "exec"), known)  # noqa: S102 - our own page

    def vehicles(name: str) -> list[int]:
        frame = known[name]
        assert isinstance(frame, pl.LazyFrame)
        return frame.collect()["vehicle_id"].sort().to_list()

    assert vehicles("points") == [7, 8, 9, 9]
    assert vehicles("observed") == [7, 8, 9]
    assert vehicles("whole") == [7, 8]
    assert vehicles("sound") == [7, 9, 9]
    assert vehicles("plausible") == [7, 8, 9, 9]
    assert len(known["unflagged"]) == 2  # pyright: ignore[reportArgumentType]
    (sql,) = _cleaning("sql")
    with catalog.connect(marked, list(model.TABLES.values())) as connection:
        assert connection.sql(sql).pl()["vehicle_id"].sort().to_list() == [7, 9]
