"""`ngsim download`, as a user runs it: to the landing zone, killed, without the portal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ngsim_assets import runs
from ngsim_assets.acquisition.landing import LandingZone
from ngsim_assets.highway.simulate import Scenario, simulate
from ngsim_assets.highway.sites import SITES, US_101
from ngsim_assets.observability import folding
from ngsim_assets_tests.command import Ngsim
from ngsim_assets_tests.highway.deliveries import EARLY, WEST, rows
from ngsim_assets_tests.highway.official.portal import FakePortal, print_rows, recording, zipped

ARCHIVE = "US-101-LosAngeles-CA.zip"


def rows_taken_in(data: Path) -> dict[str, int]:
    landing = LandingZone(data / "landing")
    return {
        key: sum(delivery.share.rows for delivery in landing.deliveries(key))
        for key in landing.partitions()
    }


def without_building(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Have `ngsim ingest` take files in and build nothing; what it would have built."""
    wanted: list[Any] = []

    def build(settings: object, instance: object, keys: list[object], **_: object) -> runs.Built:
        wanted.extend(keys)
        return runs.Built()

    monkeypatch.setattr(runs, "build", build)
    return wanted


@pytest.mark.parametrize("way", ["zip", "api", "export"])
def test_each_way_leads_to_rows_that_are_taken_in(
    ngsim: Ngsim, portal: FakePortal, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    built = without_building(monkeypatch)
    body = zipped(
        {
            "a/trajectories-0750am-0805am.txt": print_rows(recording(), "text"),
            "a/trajectories-0750am-0805am.csv": print_rows(recording().head(99), "csv"),
            "a/notes.txt": b"Nothing of interest.\n",
        }
    )
    portal.attach(ARCHIVE, body)
    known = replace(US_101.archive, size=len(body), sha256="")
    monkeypatch.setitem(SITES, "us-101", replace(US_101, archive=known))
    out, err = ngsim("download", "us-101", "--way", way, "--ingest")
    assert "fetched" in out
    assert "ngsim: fetched" in err
    expected = {str(EARLY): recording().height}
    expected |= {str(WEST): 200} if way == "export" else {}
    assert rows_taken_in(ngsim.data) == expected
    assert {str(key) for key in built} == set(expected)
    assert list((ngsim.data / "rejected").rglob("*")) == []
    counted = folding.totals(ngsim.data / "metrics")
    assert any("ngsim_records_total" in str(sample) for sample in counted)

    out, err = ngsim("download", "us-101", "--way", way)
    assert "unchanged" in out
    assert "next:" not in err


def test_simulated_traffic_comes_through_the_portal_as_it_was(
    ngsim: Ngsim, portal: FakePortal
) -> None:
    simulated = simulate(Scenario(minutes=0.02)).recording
    portal.replace_rows(simulated)
    out, err = ngsim("download", "US 101", "--way", "api", "--json")
    told = json.loads(out)
    assert (told["status"], told["rows"]) == ("fetched", simulated.height)
    assert err.rstrip().endswith("next: ngsim ingest (a running daemon takes it in by itself)")
    (handed,) = told["handed_over"]
    assert sorted(Path(handed["path"]).read_bytes().splitlines()) == sorted(
        print_rows(simulated, "api").splitlines()
    )
    ngsim("register", handed["path"])
    assert rows_taken_in(ngsim.data) == {str(EARLY): simulated.height}


def test_without_the_portal_earlier_copies_are_used_and_it_says_so(
    ngsim: Ngsim, portal: FakePortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGSIM_RETRIES", "0")
    ngsim("download", "i-80", "--way", "api")
    portal.refusals = {"/": [503] * 99}
    out, err = ngsim("download", "i-80", "us-101", "--way", "api", code=1)
    assert "the copy of" in err
    assert "2 of 2 downloads failed, 1 of these are held as fetched earlier" in err
    assert "i-80-api.csv" in out
    (copy,) = (ngsim.data / "incoming" / "downloads").rglob("*.csv")
    assert copy.name == "i-80-api.csv"

    failed = json.loads(ngsim("status", "--json")[0])["downloads"]["failed"]
    assert {one["download"]: one["copy_is_kept"] for one in failed} == {
        "ngsim i-80/api": True,
        "ngsim us-101/api": False,
    }
    assert {one["error"] for one in failed} == {"ServerFailed"}
    assert "downloads: degraded: failed last time: ngsim i-80/api at " in ngsim("status")[1]
    portal.refusals = {}
    ngsim("download", "i-80", "us-101", "--way", "api")
    told = json.loads(ngsim("status", "--json")[0])["downloads"]
    assert (told["status"], told["failed"], told["resources"]) == ("ok", [], 2)


def test_what_there_is_is_listed_beside_what_is_held(
    ngsim: Ngsim, portal: FakePortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    portal.attach(ARCHIVE, b"PK")
    ngsim("download", "i-80", "--way", "api")
    portal.forget()
    out, _ = ngsim("download", "--list", "--json")
    found = {row["download"]: row for row in json.loads(out)["downloads"]}
    assert len(found) == 2 * len(SITES) + 1
    assert found["us-101/zip"]["offered"] == ARCHIVE
    assert found["i-80/zip"]["state"] == "not offered"
    assert found["i-80/api"]["state"] == "held as it is now"
    assert (found["i-80/api"]["offered"], found["i-80/api"]["rows"]) == ("200 rows", 200)
    assert found["all/export"]["offered"] == f"{portal.rows.height:,} rows"
    assert portal.pages == []
    assert portal.bodies("rows.csv") == 0
    portal.updated = int(time.time()) + 60
    assert "the portal has been updated since" in ngsim("download", "--list")[0]
    monkeypatch.setenv("NGSIM_RETRIES", "0")
    portal.refusals = {"/": [503] * 9}
    out, err = ngsim("download", "--list", code=1)
    assert "held, the portal does not answer" in out
    assert "the server failed (status 503)" in err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["us-66"], "no highway 'us-66'"),
        ([], "name highways: us-101, i-80"),
        (["us-101", "--where", "lane_id=1"], "--where is for --way api"),
        (["us-101", "--way", "api", "--accept-new"], "--accept-new is for --way zip"),
        (["us-101", "--json", "--ingest"], "run ngsim ingest --json after it"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    ngsim: Ngsim, portal: FakePortal, arguments: list[str], reason: str
) -> None:
    _, err = ngsim("download", *arguments, code=2)
    assert reason in err
    assert portal.seen == []


@pytest.mark.parametrize("log", ["human", "json"])
def test_the_token_is_in_no_output_and_in_no_file(
    ngsim: Ngsim, portal: FakePortal, monkeypatch: pytest.MonkeyPatch, log: str
) -> None:
    portal.token = "s3cr3t-t0ken"  # noqa: S105  # of a portal that is none
    monkeypatch.setenv("NGSIM_SODA_APP_TOKEN", portal.token)
    monkeypatch.setenv("NGSIM_LOG", log)
    portal.attach(ARCHIVE, zipped({"t.txt": print_rows(recording(), "text")}))
    printed = ngsim("download", "us-101", "--way", "zip", "--accept-new")
    printed += ngsim("download", "us-101", "--way", "api", "--json")
    portal.refusals = {"/resource/": [403]}
    printed += ngsim("download", "us-101", "--way", "export", code=1)
    assert not any(portal.token in text for text in printed)
    files = [path for path in ngsim.data.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not any(portal.token.encode() in path.read_bytes() for path in files)


def started(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ngsim_assets.cli", "download", *arguments],
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_killed_download_goes_on_where_it_was(ngsim: Ngsim, portal: FakePortal) -> None:
    body = zipped({"t.txt": print_rows(recording(), "text"), "noise.bin": os.urandom(4 << 20)})
    portal.attach(ARCHIVE, body)
    portal.bytes_per_second = 1 << 20
    parts = ngsim.data / "downloads" / "parts"
    process = started("us-101", "--way", "zip", "--accept-new")

    def recorded() -> int:
        records = [json.loads(path.read_bytes()) for path in parts.rglob("record.json")]
        return max((end for told in records for _, end in told["done"]), default=0)

    wait_until(lambda: recorded() > 1 << 19)
    process.kill()
    process.communicate()
    assert list((ngsim.data / "downloads").glob("objects/*/*")) == []
    assert not (ngsim.data / "incoming" / "downloads").exists()
    portal.bytes_per_second = 0
    portal.forget()
    ngsim("download", "us-101", "--way", "zip", "--accept-new")
    assert 0 < portal.bodies("/files/") < len(body) - (1 << 19)
    (text,) = (ngsim.data / "incoming" / "downloads" / "us-101").iterdir()
    assert text.read_bytes() == print_rows(recording(), "text")


def test_an_interrupted_download_says_so_and_keeps_its_pages(
    ngsim: Ngsim, portal: FakePortal
) -> None:
    portal.replace_rows(rows(vehicles=860, frames=60))
    portal.on_page = lambda number: 60.0 if number > 1 else None
    process = started("us-101", "--way", "api")
    parts = ngsim.data / "downloads" / "parts"
    wait_until(lambda: len(list(parts.rglob("[!.]*.csv"))) == 1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "run the same command again" in err
    assert "Traceback" not in err
    assert not (ngsim.data / "incoming" / "downloads").exists()
    portal.on_page = lambda number: None
    portal.forget()
    ngsim("download", "us-101", "--way", "api")
    assert len(portal.pages) == 1
    (file,) = (ngsim.data / "incoming" / "downloads").rglob("*.csv")
    assert sorted(file.read_bytes().splitlines()) == sorted(
        print_rows(portal.rows, "api").splitlines()
    )
