"""The pages that are made from the code are those the code makes, and the examples run."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from ngsim_assets.highway import model
from ngsim_assets.highway.questions import rules_page, schema_page
from ngsim_assets.storage.parquet import ParquetStorage

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.mark.parametrize(
    ("name", "page"), [("DATA_SCHEMAS.md", schema_page), ("RULES.md", rules_page)]
)
def test_generated_pages_are_current(name: str, page: object) -> None:
    assert callable(page)
    assert (DOCS / name).read_text() == page(), "run make docs"


def test_links_between_pages_lead_somewhere() -> None:
    for page in (*DOCS.glob("*.md"), DOCS.parent / "README.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_assets_of_ones_own_read_the_lake_as_documented(tmp_path: Path) -> None:
    """The example of READING.md, word for word but for the lake's place."""
    pytest.importorskip("dagster_polars", reason="the io extra is not installed")
    lake = tmp_path / "lake"
    row = dict.fromkeys(model.TRAJECTORY_SEGMENTS.schema)
    row |= {"highway_id": "us-101", "recording": "2005-06-15T0750", "vehicle_type": "truck"}
    row |= {"date": date(2005, 6, 15), "vehicle_id": 7, "lanes": [1]}
    ParquetStorage(lake).replace(
        model.TRAJECTORY_SEGMENTS,
        {"highway_id": "us-101", "recording": "2005-06-15T0750"},
        [pl.DataFrame([row], schema=model.TRAJECTORY_SEGMENTS.schema)],
    )
    example = re.search(
        r"```python\n(import dagster as dg\n.*?)```", (DOCS / "READING.md").read_text(), re.DOTALL
    )
    assert example is not None
    code = example.group(1).replace("data/lake", str(lake))
    namespace: dict[str, object] = {"__name__": "example"}
    exec(compile(code, "READING.md", "exec"), namespace)  # noqa: S102 - our own page
    definitions = namespace["defs"]
    assert isinstance(definitions, dg.Definitions)
    job = definitions.resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(instance=instance).success
    assert pl.read_delta(str(lake / "trucks"))["vehicle_id"].to_list() == [7]
