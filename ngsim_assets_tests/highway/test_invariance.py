"""What is stored depends on the rows delivered, not on their order or how they were worked on."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.highway.simulate import Scenario, simulate
from ngsim_assets.highway.simulation.faults import inject_faults
from ngsim_assets.highway.simulation.write_source import write_source
from ngsim_assets.highway.stages import Platform
from ngsim_assets_tests.highway.whole_path import build, taken_in, values

# what a file's lines say of their order is all that may differ with that order
ORDER = "line_out_of_order"
COUNTED = (f"flagged:{ORDER}", "rows_flagged", "rows_flagged_share")


@pytest.fixture(scope="module")
def faulty() -> pl.DataFrame:
    """Six seconds of congestion, one row in twenty at fault."""
    simulation = simulate(Scenario(minutes=0.1, congestion="congested", seed=11))
    return inject_faults(simulation.recording, rate=0.05, seed=3)[0]


def _stored(
    rows: pl.DataFrame, folder: Path, shuffle: int | None, **how: int
) -> tuple[dict[str, pl.DataFrame], Platform]:
    write_source(rows, folder / "delivered.txt", "text", shuffle=shuffle)
    platform, (key,) = taken_in(folder / "data", folder / "delivered.txt")
    build(platform, key, **how)
    return values(platform, key), platform


@pytest.fixture(scope="module")
def reference(
    faulty: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, pl.DataFrame]:
    """In the order of vehicles and frames, in one piece."""
    tables, _ = _stored(faulty, tmp_path_factory.mktemp("whole"), None, workers=1)
    assert tables["quarantine"].height > 20
    assert (tables["cleaned_trajectories"]["state"] == "repaired").any()
    assert (tables["cleaned_trajectories"]["state"] == "imputed").any()
    return tables


def _without_order(tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    flags = pl.col("flags").list.set_difference(pl.lit([ORDER]))
    return tables | {
        "validated_points": tables["validated_points"].with_columns(flags),
        "quality_metrics": tables["quality_metrics"].filter(~pl.col("metric").is_in(COUNTED)),
    }


@pytest.mark.parametrize(
    ("shuffle", "chunk_rows", "workers"), [(1, 1_000, 4), (2, 5_000, 2), (3, 250_000, 1)]
)
def test_order_chunks_and_workers_do_not_matter(
    faulty: pl.DataFrame,
    reference: dict[str, pl.DataFrame],
    tmp_path: Path,
    shuffle: int,
    chunk_rows: int,
    workers: int,
) -> None:
    tables, _ = _stored(faulty, tmp_path, shuffle, chunk_rows=chunk_rows, workers=workers)
    found, expected = _without_order(tables), _without_order(reference)
    assert [name for name in expected if not found[name].equals(expected[name])] == []


def test_chunks_and_workers_do_not_change_a_byte(faulty: pl.DataFrame, tmp_path: Path) -> None:
    """The same file in other pieces: no table gets another version."""
    _, platform = _stored(faulty, tmp_path, None, chunk_rows=1_000, workers=4)
    before = {path.name for path in platform.lake.root.rglob("*.parquet")}
    (key,) = taken_in(tmp_path / "data", tmp_path / "delivered.txt")[1]
    build(platform, key, chunk_rows=3_000, workers=1)
    assert {path.name for path in platform.lake.root.rglob("*.parquet")} == before
