"""Which runs are dead."""

from __future__ import annotations

from pathlib import Path

from ngsim_assets.automation import living_runs
from ngsim_assets.settings import load_settings


def test_a_run_is_alive_while_any_of_its_processes_is(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path)
    with living_runs.living(settings, "a"), living_runs.living(settings, "b"):
        with living_runs.living(settings, "a"):
            pass
        assert living_runs.dead_runs(settings) == []
        (settings.data / "runs" / "a.killed").touch()
        (settings.data / "runs" / "c.killed").touch()
        assert living_runs.dead_runs(settings) == ["c"]
    assert living_runs.dead_runs(settings) == ["a", "c"]
