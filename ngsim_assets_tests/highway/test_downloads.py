"""The download in the graph, by real runs against a portal on this machine."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest

from ngsim_assets.acquisition.results import IngestionResult, Outcome
from ngsim_assets.acquisition.sources import Resource
from ngsim_assets.acquisition.transfer.errors import HostUnreachable, NotFound
from ngsim_assets.highway.downloads import DOWNLOAD, DOWNLOADS, failure_of
from ngsim_assets.highway.official.downloading import Downloads
from ngsim_assets.highway.resources import RAW_FILES, HighwayPlatform
from ngsim_assets_tests.highway.deliveries import EARLY, WEST
from ngsim_assets_tests.highway.official.portal import FakePortal
from ngsim_assets_tests.highway.watched import Watched, metadata


def run(platform: Watched, **config: Any) -> dg.ExecuteInProcessResult:
    """A run of the download, with its log kept off the console."""
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    return platform.execute(DOWNLOAD, run_config={"ops": {DOWNLOADS: {"config": config}}, **quiet})


def told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {
        name: value.value
        for name, value in event.step_materialization_data.materialization.metadata.items()
    }


def test_a_download_is_taken_in_by_itself_and_only_what_changed_again(
    platform: Watched, portal: FakePortal
) -> None:
    first = run(platform, highways=["us-101", "I-80"], way="api")
    assert first.success
    seen = told(first)
    assert seen["status"] == "fetched"
    assert seen["dagster/row_count"] == portal.rows.height
    assert [(r.data["download"], r.data["status"]) for r in seen["resources"].records] == [
        ("us-101/api", "fetched"),
        ("i-80/api", "fetched"),
    ]
    assert {len(record.data["sha256"]) for record in seen["held"].records} == {64}

    taken = metadata(platform.take_in())
    assert (taken["files taken in"], taken["rows"]) == (2, portal.rows.height)
    assert platform.observed().keys() == {str(EARLY), str(WEST)}

    portal.forget()
    again = told(run(platform, highways=["us-101", "i-80"], way="api"))
    assert (again["status"], again["files handed over"]) == ("unchanged", 0)
    assert portal.pages == []
    assert platform.tick().requests == []

    before = platform.observed()
    portal.change_row(portal.rows["location"].to_list().index("i-80"))
    assert told(run(platform, highways=["us-101", "i-80"], way="api"))["files handed over"] == 1
    assert metadata(platform.take_in())["recordings with new content"] == 1
    changed = platform.observed()
    assert changed[str(EARLY)] == before[str(EARLY)]
    assert changed[str(WEST)] != before[str(WEST)]


def test_a_run_that_cannot_have_it_names_what_failed(platform: Watched, portal: FakePortal) -> None:
    portal.refusals = {f"{place}": [404] * 9 for place in ("/api/views/", "/resource/")}
    failed = run(platform, highways=["us-101"], way="export")
    assert not failed.success
    (event,) = [e for e in failed.all_events if e.is_step_failure]
    data = event.step_failure_data.user_failure_data
    assert data is not None
    assert data.description is not None
    assert data.description.startswith("all/export: ")
    assert "there is no such thing (status 404)" in data.description
    assert {name: value.value for name, value in data.metadata.items()}["status"] == "failed"
    assert not [e for e in failed.all_events if e.event_type_value == "STEP_UP_FOR_RETRY"]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"highways": ["route 66"]}, "no highway 'route 66' (known are us-101, i-80"),
        ({"highways": ["us-101"], "way": "fax"}, "no way 'fax' to download"),
    ],
)
def test_a_wrong_configuration_is_named_and_not_tried_again(
    platform: Watched, portal: FakePortal, config: dict[str, Any], reason: str
) -> None:
    failed = run(platform, **config)
    (event,) = [e for e in failed.all_events if e.is_step_failure]
    assert reason in str(event.step_failure_data.user_failure_data)
    assert portal.seen == []


def test_only_what_may_pass_is_tried_again() -> None:
    resource = Resource("ngsim", "us-101/zip", "http://portal/")
    passing, lasting = HostUnreachable("http://portal/", "refused"), NotFound("http://portal/", 404)
    for errors, retried in (([passing], True), ([lasting], False), ([lasting, passing], True)):
        outcomes = tuple(Outcome(resource, "failed", error=error) for error in errors)
        failure = failure_of(Downloads(IngestionResult("ngsim", outcomes), ()), {})
        assert failure.allow_retries is retried
        assert str(failure.description).count("us-101/zip: ") == len(errors)


def test_the_schedule_asks_for_what_the_settings_name(
    platform: Watched, portal: FakePortal, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule = platform.repository.get_schedule_def("daily_downloads")

    def tick() -> Any:
        with dg.build_schedule_context(
            instance=platform.instance,
            repository_def=platform.repository,
            resources={"platform": HighwayPlatform()},
        ) as context:
            return schedule.evaluate_tick(context)

    assert "NGSIM_DOWNLOAD_HIGHWAYS names no highway" in (tick().skip_message or "")
    assert told(run(platform))["files"] == 0
    monkeypatch.setenv("NGSIM_DOWNLOAD_HIGHWAYS", "us-101, i-80")
    monkeypatch.setenv("NGSIM_DOWNLOAD_WAY", "export")
    (request,) = tick().run_requests
    assert request.tags["ngsim/highways"] == "us-101,i-80"
    assert told(run(platform))["dagster/row_count"] == portal.rows.height


def test_the_graph_says_where_files_come_from(platform: Watched) -> None:
    node = platform.repository.asset_graph.get(RAW_FILES)
    assert {key.to_user_string() for key in node.parent_keys} == {DOWNLOADS}
    assert node.is_observable
    assert node.is_partitioned
    assert not node.is_materializable
