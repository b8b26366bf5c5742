"""Part files: what was written comes back, whatever columns were empty."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngsim_assets.acquisition.errors import DamagedPart
from ngsim_assets.acquisition.parts import Parts, PartWriter

SCHEMA = pl.Schema(
    {
        "line": pl.Int64(),
        "number": pl.Int32(),
        "site": pl.Enum(["a", "b"]),
        "text": pl.String(),
    }
)
row = st.tuples(
    st.integers(-(2**63), 2**63 - 1),
    st.none() | st.integers(-(2**31), 2**31 - 1),
    st.sampled_from([None, "a", "b"]),
    st.none() | st.text(max_size=5),
)


def write(folder: Path, frames: list[pl.DataFrame]) -> list[Path]:
    writer = PartWriter(folder, "rows")
    for frame in frames:
        writer.write(frame)
    writer.close()
    assert writer.rows == sum(frame.height for frame in frames)
    return [folder / part for part in writer.parts]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(row, max_size=4), min_size=1, max_size=5))
def test_rows_come_back(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[tuple[object, ...]]]
) -> None:
    frames = [pl.DataFrame(batch, SCHEMA, orient="row") for batch in batches]
    expected = pl.concat(frames)
    with Parts(write(tmp_path_factory.mktemp("parts"), frames), SCHEMA) as parts:
        assert parts.rows == expected.height
        assert pl.DataFrame([parts.column(name) for name in SCHEMA]).equals(expected)
        read = [pl.DataFrame(schema=SCHEMA), *parts.frames(list(SCHEMA))]
        assert pl.concat(read).equals(expected)
        assert set(parts.columns) == {c.name for c in expected if c.null_count() < c.len()}


def test_open_parts_outlive_their_files(tmp_path: Path) -> None:
    frame = pl.DataFrame([(1, 2, "a", None)], SCHEMA, orient="row")
    paths = write(tmp_path, [frame])
    with Parts(paths, SCHEMA) as parts:
        paths[0].unlink()
        assert parts.column("number").to_list() == [2]


def test_a_damaged_part_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, [pl.DataFrame([(1, 2, "a", None)], SCHEMA, orient="row")])[0]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedPart, match=path.name):
        Parts([path], SCHEMA)
