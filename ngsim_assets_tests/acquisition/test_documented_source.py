"""The page on acquisition: its example runs, its table is that of the settings."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ngsim_assets.acquisition.results import IngestionResult
from ngsim_assets.settings import Settings
from ngsim_assets_tests.acquisition.shelves import rows

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "ACQUISITION.md").read_text()
LINES = 60


@pytest.fixture
def folder_on_the_web(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder, and the address under which Python's own web server lists it."""
    folder = tmp_path / "published"
    folder.mkdir()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Standard error is for what is tested."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def example() -> str:
    """The source of one's own, word for word."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    return next(block for block in blocks if "AsyncDataSource" in block)


def test_a_source_of_ones_own_takes_less_than_sixty_lines_and_runs(
    folder_on_the_web: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, url = folder_on_the_web
    for number in range(3):
        (folder / f"{number}.csv").write_bytes(rows(number, 10_000))
    (folder / "notes.txt").write_text("not wanted")
    monkeypatch.setenv("NGSIM_DATA", str(tmp_path / "data"))
    assert len(example().splitlines()) < LINES
    assert example().count("https://example.org/trajectories/") == 1
    code = compile(
        example().replace("https://example.org/trajectories/", url), "ACQUISITION.md", "exec"
    )

    def run() -> IngestionResult:
        known: dict[str, object] = {"__name__": "example"}
        exec(code, known)  # noqa: S102 - our own page
        (result,) = known["results"]  # pyright: ignore[reportGeneralTypeIssues]
        return result

    first = run()
    assert first.status == "fetched"
    assert {item.name: item.path.read_bytes() for item in first.artifacts} == {
        f"{number}.csv": rows(number, 10_000) for number in range(3)
    }
    told = capsys.readouterr()
    assert told.out.startswith("web-folder: fetched (3 fetched; 30.0 kB received")
    assert "web-folder: fetched" in told.err  # where a terminal would show progress
    (folder / "1.csv").write_bytes(rows(9, 12_000))
    second = run()
    assert [item.status for item in second.outcomes] == ["unchanged", "fetched", "unchanged"]
    assert run().status == "unchanged"


def test_other_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGSIM_DATA", str(tmp_path))
    (code,) = (
        block
        for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
        if "AsyncDataSource" not in block
    )
    exec(compile(code, "ACQUISITION.md", "exec"), {})  # noqa: S102 - our own page


def test_the_table_of_settings_is_that_of_the_code() -> None:
    told = re.findall(r"\| `NGSIM_(\w+)` \| (.*?) \| (.*?) \|\n", PAGE)
    assert len(told) > 15
    for name, default, meaning in told:
        field = Settings.model_fields[name.lower()]
        assert default == ("" if field.default in (None, "") else str(field.default)), name
        assert meaning == field.description
