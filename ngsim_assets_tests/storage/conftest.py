"""A lake of its own for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from ngsim_assets.storage.parquet import ParquetStorage


@pytest.fixture
def lake(tmp_path: Path) -> ParquetStorage:
    """An empty lake."""
    return ParquetStorage(tmp_path / "lake")
