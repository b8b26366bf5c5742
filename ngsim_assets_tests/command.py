"""The `ngsim` command as its entry point runs it, in the process of the test."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Ngsim:
    """Runs `ngsim` on the data folder `data`; fixture `ngsim` gives one with an empty folder."""

    data: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __post_init__(self) -> None:
        self.monkeypatch.setenv("NGSIM_DATA", str(self.data))
        self.monkeypatch.delenv("DAGSTER_HOME", raising=False)
        self.monkeypatch.setenv("COLUMNS", "200")

    def __call__(self, *arguments: object, code: int = 0) -> tuple[str, str]:
        """What was printed as result and beside it; fails where the exit code is not `code`."""
        from ngsim_assets.cli import main  # every test loads this module, few run a command

        self.monkeypatch.setattr(sys, "argv", ["ngsim", *map(str, arguments)])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        printed = self.capsys.readouterr()
        assert stop.value.code == code, printed.err
        assert "Traceback" not in printed.err
        return printed.out, printed.err
