"""What /health and `ngsim status` tell, each found out by making it so.

One small recording is taken in and built; tests spoil copies of its data folder.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from ngsim_assets import runs
from ngsim_assets.acquisition.sources import Resource
from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.acquisition.transfer.breaker import Breakers
from ngsim_assets.acquisition.transfer.errors import HostUnreachable
from ngsim_assets.automation import failures
from ngsim_assets.highway import (
    health,
    incoming,
    reporting,
    rollback,
    serve_command,
    stages,
)
from ngsim_assets.observability import heartbeats
from ngsim_assets.observability.health import Check, Status
from ngsim_assets.observability.heartbeats import HUNG, SILENT
from ngsim_assets.observability.serving import serving
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets_tests.command import Ngsim
from ngsim_assets_tests.highway.whole_path import build, taken_in
from ngsim_assets_tests.unattended.places import deliver, read_only

KEY = "us-101|2005-06-15T0750"
COMMAND = [sys.executable, "-m", "ngsim_assets.cli"]


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which all is well but that no daemon runs."""
    folder = tmp_path_factory.mktemp("taken")
    platform, (key,) = taken_in(folder / "data", deliver(folder / "us101.csv"))
    build(platform, key)
    reporting.store_report(platform, key)
    return folder / "data"


@pytest.fixture
def settings(taken: Path, ngsim: Ngsim) -> Settings:
    """Of a copy that a test may spoil."""
    shutil.copytree(taken, ngsim.data)
    return load_settings(settle=0.0, disk_reserve=0)


def _asked(settings: Settings, path: str = "/health") -> tuple[int, dict[str, object]]:
    """What a server that has just been started answers."""

    async def ask() -> tuple[int, dict[str, object]]:
        told = serve_command.served(settings, runs.daemon)
        async with (
            serving(told, "127.0.0.1", 0) as url,
            aiohttp.ClientSession() as session,
            session.get(url + path) as reply,
        ):
            return reply.status, await reply.json()

    return asyncio.run(ask())


def test_all_is_well_but_that_no_daemon_runs(settings: Settings) -> None:
    status, told = _asked(settings)
    checks = told["checks"]
    assert isinstance(checks, dict)
    assert (status, told["status"]) == (200, "degraded")
    assert {name for name, check in checks.items() if check["status"] != "ok"} == {"daemon"}
    stages_of = checks["recordings"]["last_success"][KEY]
    assert stages_of.keys() >= {"raw_trajectories", "quarantine", "quality_report"}
    for success in stages_of.values():
        age = (datetime.now(UTC) - datetime.fromisoformat(success["time"])).total_seconds()
        assert 0 <= success["age"] <= age + 1
    assert _asked(settings, "/ready")[0] == 200


# each makes one thing so --------------------------------------------------------------------


def _lose_a_file(settings: Settings) -> Settings:
    next((settings.lake / "cleaned_trajectories").rglob("*.parquet")).unlink()
    return settings


def _spoil_a_log(settings: Settings) -> Settings:
    log = settings.lake / "validated_points" / "_delta_log"
    for entry in log.glob("*.json"):
        entry.write_bytes(b"\x00\xff" * 64)
    return settings


def _want_more_room(settings: Settings) -> Settings:
    return settings.model_copy(update={"disk_reserve": 2**60})


def _lose_everything(settings: Settings) -> Settings:
    shutil.rmtree(settings.data)
    return settings


def _leave_a_build_failed(settings: Settings) -> Settings:
    now = datetime.now(UTC)
    failures.record(settings, failures.Failure(KEY, "validation", "no room", "r1", now))
    return settings


def _open_a_breaker(settings: Settings) -> Settings:
    breakers = Breakers(settings.downloads / "breakers", failures=1, seconds=60)
    breakers.of("portal.example").take_failure(
        HostUnreachable("https://portal.example/x", "connection refused"), probe=False
    )
    asyncio.run(breakers.remember("portal.example"))
    return settings


def _refuse_a_file(settings: Settings) -> Settings:
    settings.incoming_folder.mkdir(exist_ok=True)
    (settings.incoming_folder / "odd.csv").write_text("a,b\n1,2\n")
    list(incoming.load(stages.open_platform(settings), settings))
    return settings


def _lose_the_incoming_folder(settings: Settings) -> Settings:
    return settings.model_copy(update={"incoming": settings.data.parent / "not mounted"})


def _stop_a_rollback(settings: Settings) -> Settings:
    plan = rollback.Plan(KEY, "@-1", None, "r1", datetime.now(UTC), "", ())
    with pytest.raises(KeyboardInterrupt), rollback.begun(settings, plan):
        raise KeyboardInterrupt
    return settings


def _stop_a_download(settings: Settings) -> Settings:
    part = settings.downloads / "parts" / "ngsim.us-101.zip.0123abcd" / "body"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"half of it")
    for path in (part, part.parent):
        os.utime(path, (0, time.time() - health.LONG_WAIT - 60))
    return settings


def _fail_a_download(settings: Settings) -> Settings:
    resource = Resource("ngsim", "us-101/zip", "https://portal.example/view")
    error = HostUnreachable("https://portal.example/view", "connection refused")
    DownloadStore(settings.downloads).note_failure(resource, error, now=datetime.now(UTC))
    return settings


def _fill_gaps_otherwise(settings: Settings) -> Settings:
    return settings.model_copy(update={"gap_limit": 1.0})


@pytest.mark.parametrize(
    ("make", "name", "status", "told"),
    [
        (_lose_a_file, "lake", "failing", "is missing"),
        (_spoil_a_log, "lake", "failing", "validated_points"),
        (_want_more_room, "disk", "failing", "NGSIM_DISK_RESERVE"),
        (_lose_everything, "disk", "failing", "no data folder"),
        (_leave_a_build_failed, "builds", "degraded", f"{KEY} validation: no room"),
        (_open_a_breaker, "breakers", "degraded", "portal.example"),
        (_refuse_a_file, "rejected", "degraded", "odd.csv"),
        (_lose_the_incoming_folder, "incoming", "degraded", "not mounted"),
        (_stop_a_rollback, "rollbacks", "degraded", f"ngsim rollback '{KEY}' --to @-1"),
        (_stop_a_download, "downloads", "degraded", "ngsim.us-101.zip"),
        (_fail_a_download, "downloads", "degraded", "failed last time: ngsim us-101/zip at 2"),
        (_fill_gaps_otherwise, "recordings", "degraded", KEY),
    ],
    ids=lambda value: getattr(value, "__name__", "").strip("_") or None,
)
def test_what_is_wrong_is_told(
    settings: Settings,
    make: Callable[[Settings], Settings],
    name: str,
    status: Status,
    told: str,
) -> None:
    spoilt = make(settings)
    code, found = _asked(spoilt)
    checks = found["checks"]
    assert isinstance(checks, dict)
    assert checks[name]["status"] == status, checks[name]
    assert told in checks[name]["detail"]
    assert code == (503 if status == "failing" else 200)
    ready = make not in {_lose_everything, _spoil_a_log}
    assert _asked(spoilt, "/ready")[0] == (200 if ready else 503)


def test_a_folder_that_cannot_be_written_to(settings: Settings) -> None:
    with read_only(settings.data):
        check = health.disk(settings)
        assert check.status == "failing"
        assert "read-only" in check.detail
        code, told = _asked(settings, "/ready")
    assert (code, told["ready"]) == (503, False)
    assert health.disk(settings).status == "ok"


def test_a_file_waits_until_somebody_should_look(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.incoming_folder.mkdir(exist_ok=True)
    file = deliver(settings.incoming_folder / "late.csv", seed=2)
    os.utime(file, (0, 0))  # content of 1970 that was moved here just now
    check = health.waiting(settings)
    assert (check.status, check.data["ready"]) == ("ok", [str(file)])
    monkeypatch.setattr(health, "LONG_WAIT", -1.0)
    check = health.waiting(settings)
    assert check.status == "degraded"
    assert str(file) in check.detail


def test_what_was_refused_and_removed_is_no_concern(settings: Settings) -> None:
    _refuse_a_file(settings)
    for file in settings.rejected.iterdir():
        file.unlink()
    assert health.rejected(stages.open_platform(settings)).status == "ok"


def test_asking_creates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    settings = load_settings(data=tmp_path / "nothing")
    code, _ = _asked(settings)
    assert code == 503
    assert runs.daemon(settings).status == "degraded"
    assert list(tmp_path.iterdir()) == []


# the daemon ---------------------------------------------------------------------------------


def _beat(settings: Settings, ages: dict[str, float]) -> Check:
    """What is told of a daemon whose parts last beat so many seconds ago, as Dagster writes it."""
    from dagster._daemon.types import DaemonHeartbeat

    with runs.open_instance(settings) as instance:
        for kind, age in ages.items():
            instance.add_daemon_heartbeat(DaemonHeartbeat(time.time() - age, kind, "id", None))
    return runs.daemon(settings)


def test_the_daemon_lives_and_dies(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with runs.open_instance(settings) as instance:
        kinds = instance.get_required_daemon_types()
    with monkeypatch.context() as patched:  # what is plain needs no Dagster
        patched.delattr(runs, "open_instance")
        assert runs.daemon(settings).status == "degraded"
    assert len(kinds) > 4
    alive = _beat(settings, dict.fromkeys(kinds, 20.0))
    assert (alive.status, alive.data["up"]) == ("ok", True)
    found = heartbeats.recorded(settings.dagster_home)
    assert found.keys() == set(kinds)
    assert all(abs(time.time() - beat.time - 20) < 15 for beat in found.values())
    # one that this instance does not want may be silent, one that it wants may not
    assert _beat(settings, {"EVENT_LOG_CONSUMER": 2 * HUNG}).status == "ok"
    hung = _beat(settings, {kinds[0]: 2 * HUNG})
    assert (hung.status, hung.data["up"]) == ("failing", False)
    assert kinds[0] in hung.detail
    dead = _beat(settings, dict.fromkeys(kinds, SILENT + 5))
    assert dead.status == "failing"
    assert "dagster-daemon run" in dead.detail
    code, told = _asked(settings)
    assert (code, told["status"]) == (503, "failing")


# the commands -------------------------------------------------------------------------------


def test_status_tells_the_same(settings: Settings, ngsim: Ngsim) -> None:
    _open_a_breaker(settings)
    out, _ = ngsim("status", "--json")
    told = json.loads(out)
    assert told["disk"]["free_bytes"] == told["disk_free_bytes"]
    assert told["disk"]["reserve_bytes"] == load_settings().disk_reserve
    assert told["daemon"]["status"] == "degraded"
    assert told["breakers"]["open"][0]["host"] == "portal.example"
    assert told["recordings"][0]["last_success"].keys() >= {"raw_trajectories", "traffic_state"}
    out, err = ngsim("status")
    assert "last built (UTC)" in out
    assert "breakers: degraded: left alone: portal.example" in err
    assert "daemon: degraded: no daemon runs" in err
    assert "kept in reserve" in err or "NGSIM_DISK_RESERVE" in err


def test_serve_answers_until_it_is_stopped(settings: Settings) -> None:
    server = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0"],
        env={**os.environ, "NGSIM_LOG": "json", "NGSIM_DISK_RESERVE": "0"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    try:
        url = json.loads(server.stderr.readline())["event"].partition(": ")[0]
        assert url.startswith("http://127.0.0.1:")
        asking = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
        assert json.loads(_got(asking, "/health"))["status"] == "degraded"
        metrics = _got(asking, "/metrics").splitlines()
        assert "ngsim_daemon_up 0.0" in metrics
        assert "ngsim_open_breakers 0.0" in metrics
        assert "ngsim_failed_builds 0.0" in metrics
        built = [line for line in metrics if line.startswith("ngsim_last_success_timestamp_secon")]
        assert any(
            'highway="us-101"' in line and 'stage="quality_report"' in line for line in built
        )
        assert json.loads(_got(asking, "/version"))["stages"] == dict(stages.CODE_VERSIONS)
        assert "/health" in _got(asking, "/other", status=404)
        asking.close()
    finally:
        server.send_signal(signal.SIGTERM)
        _, err = server.communicate(timeout=30)
    assert server.returncode == 0
    paths = [
        line["path"] for line in map(json.loads, err.splitlines()) if line["event"] == "request"
    ]
    assert paths == ["/health", "/metrics", "/version", "/other"]


def _got(asking: http.client.HTTPConnection, path: str, status: int = 200) -> str:
    asking.request("GET", path)
    reply = asking.getresponse()
    assert reply.status == status
    return reply.read().decode()


def test_serve_where_another_process_listens(ngsim: Ngsim) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        _, err = ngsim("serve", "--port", port, code=1)
    (line,) = err.splitlines()
    assert line.startswith(f"error: cannot listen on 127.0.0.1 port {port}: another process")
