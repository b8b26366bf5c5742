"""Tables as people see them, on terminals of any width."""

from __future__ import annotations

import pytest
from rich.console import Console

from ngsim_assets import console

KEY = "us-101|2005-06-15T0750"
LINE = {
    "recording": KEY,
    "quarantined": 1_234_567,
    "member": None,
    "score": 98.5,
    "why": "the delivered rows changed, and so did gap_limit 2.0 to 1.0",
    "run": "[bold]",
}


@pytest.mark.parametrize("width", [40, 60, 80, 120, 160])
def test_nothing_is_cut_off(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "out", Console(highlight=False, width=width))
    console.print_table("Recordings", [LINE, {**LINE, "why": ""}])
    told = capsys.readouterr().out
    words = {word for line in told.splitlines() for word in line.split()}
    assert {KEY, "1,234,567", "98.5", "gap_limit", "delivered", "[bold]"} <= words
    assert "member" not in words  # nothing is said there
    if width >= 80:
        assert max(map(len, told.splitlines())) <= width


def test_figures_of_progress_are_whole_on_a_narrow_terminal() -> None:
    progress = console.file_progress()
    name = "us-101/zip US-101-LosAngeles-CA.zip"
    progress.add_task(name, total=306_900_000, completed=27_900_000)
    narrow = Console(width=60)
    with narrow.capture() as drawn:
        narrow.print(progress.get_renderable())
    assert "27.9/306.9 MB ? -:--:--" in drawn.get()
    assert drawn.get().count("\n") == 1
