"""A stored session is measured and told of, and the report says what it is of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ngsim_assets.f1.assessment.model import F1_QUALITY_METRICS
from ngsim_assets.f1.errors import NothingStoredOf
from ngsim_assets.f1.model import F1_LAPS
from ngsim_assets.f1.platform import identity, report_folder
from ngsim_assets.f1.recipes import REPORT, out_of_date
from ngsim_assets.f1.reporting import report_fault, store_report
from ngsim_assets.f1.simulation.wire import write_feed
from ngsim_assets.f1.stages import store_session
from ngsim_assets_tests.f1.stored import SESSION, brought_in, simulated


def test_a_session_is_measured_once_and_the_report_tells_of_its_files(tmp_path: Path) -> None:
    race = simulated()
    write_feed(race.messages, tmp_path / "feed")
    platform = brought_in(tmp_path / "data", tmp_path / "feed")
    with pytest.raises(NothingStoredOf):
        store_report(platform, SESSION)
    version = store_session(platform, SESSION).version
    assert out_of_date(platform, SESSION, version) == [REPORT]
    commit, report = store_report(platform, SESSION)
    assert out_of_date(platform, SESSION, version) == []
    told = platform.lake.scan(F1_QUALITY_METRICS, identity(SESSION)).collect()
    metrics = dict(told.filter(subject="").select("metric", "value").iter_rows())
    assert metrics["laps"] == race.laps.height
    assert metrics["messages"] == len(race.messages)
    assert commit.provenance.rows["f1_laps"] == race.laps.height
    assert "Simulated" in report.subtitle
    folder = report_folder(platform.reports, SESSION)
    written = json.loads((folder / "report.json").read_bytes())
    names = {source["name"].rsplit("/", 1)[-1] for source in written["origin"]["sources"]}
    assert "TimingData.jsonStream" in names
    assert (
        "<svg" in (folder / "report.html").read_text()
        or "data:image" in (folder / "report.html").read_text()
    )
    assert report_fault(platform, SESSION, commit) == ""
    (again, _) = store_report(platform, SESSION)
    assert not again.changed
    assert len(platform.lake.history(F1_QUALITY_METRICS)) == 2  # created, written
    (folder / "report.html").unlink()
    assert report_fault(platform, SESSION, commit) == "report.html is missing"
    (folder / "report.json").write_text("{}")
    assert report_fault(platform, SESSION, commit) == "report.json cannot be read"
    platform.lake.replace(F1_LAPS, identity(SESSION), [])
    assert REPORT in out_of_date(platform, SESSION, version)
