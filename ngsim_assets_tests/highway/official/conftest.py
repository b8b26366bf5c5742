"""Fixtures of what downloads from a portal."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder that the settings name; it does not exist yet."""
    monkeypatch.setenv("NGSIM_DATA", str(tmp_path / "data"))
    return tmp_path / "data"
