"""Fixtures that every part of the suite shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from ngsim_assets_tests.command import Ngsim

# how long an example takes says how busy the machine is
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits most goes first, so that other workers have enough to do beside it."""
    items.sort(key=lambda item: item.get_closest_marker("daemon") is None)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real excerpts (`NGSIM_REAL_DATA`); tests that need it skip where it is absent."""
    repository = Path(__file__).resolve().parent.parent
    folder = Path(os.environ.get("NGSIM_REAL_DATA", repository.parent / "shared" / "data"))
    if not (folder / "ngsim").is_dir():
        pytest.skip(f"no real excerpts at {folder}: set NGSIM_REAL_DATA to run this test")
    return folder


@pytest.fixture
def ngsim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Ngsim:
    """The `ngsim` command, on a data folder of its own that does not exist yet."""
    return Ngsim(tmp_path / "data", monkeypatch, capsys)
