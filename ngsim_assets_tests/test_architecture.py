"""The house stands as planned: arrows run one way, and the code loads without doing anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def test_imports_run_one_way() -> None:
    linted = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--config", "pyproject.toml"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout


def test_importing_definitions_touches_no_disk_and_needs_no_settings(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", "import ngsim_assets.definitions"],
        cwd=tmp_path,
        env={"PATH": "", "NGSIM_DATA": str(tmp_path / "absent"), "NGSIM_WORKERS": "not a number"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_starts_without_dagster_and_plots() -> None:
    probe = (
        "import sys, ngsim_assets.cli;"
        "slow = ('dagster', 'matplotlib', 'pyproj', 'deltalake', 'aiohttp', 'structlog',"
        " 'prometheus_client', 'tenacity');"
        "print([m for m in slow if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_formula_1_and_shared_rooms_load_without_a_compiler() -> None:
    """A process that receives a live session for hours has no use for numba's hundred MB."""
    probe = (
        "import sys, ngsim_assets.f1.command_line, ngsim_assets.automation.versions,"
        " ngsim_assets.acquisition.store, ngsim_assets.storage.parquet;"
        "print([m for m in ('numba', 'llvmlite') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
