"""The whole platform as Dagster loads it, and the instances it is made for."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import dagster_instance_config

from ngsim_assets.definitions import build_definitions
from ngsim_assets.highway.resources import HighwayPlatform

PROJECT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build_definitions().get_repository_def()


def test_everything_that_runs_by_itself_does_from_the_start(
    repository: dg.RepositoryDefinition,
) -> None:
    started = {sensor.name: sensor.default_status for sensor in repository.sensor_defs}
    assert started.keys() == {
        "incoming_files",
        "rebuild_what_changed",
        "f1_sessions",
        "rebuild_sessions",
        "failed_builds",
        "mended_builds",
        "lost_runs",
    }
    assert set(started.values()) == {dg.DefaultSensorStatus.RUNNING}
    scheduled = {schedule.name: schedule.default_status for schedule in repository.schedule_defs}
    assert scheduled.keys() == {"daily_downloads", "daily_upkeep"}
    assert set(scheduled.values()) == {dg.DefaultScheduleStatus.RUNNING}


def test_whatever_runs_says_what_it_is_for(repository: dg.RepositoryDefinition) -> None:
    jobs = {name: repository.get_job(name) for name in repository.job_names}
    named = {name: job for name, job in jobs.items() if not name.startswith("__")}
    assert named.keys() == {
        "build_recording",
        "summarise_corpus",
        "take_in_files",
        "upkeep",
        "download",
        "build_session",
        "take_in_sessions",
    }
    assert len({job.run_tags["ngsim/kind"] for job in named.values()}) == len(named)
    described = [*named.values(), *repository.sensor_defs, *repository.schedule_defs]
    assert [thing.name for thing in described if not thing.description] == []


def test_resources_can_be_replaced(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = build_definitions(resources={"platform": HighwayPlatform(data=str(tmp_path))})
    platform = (own.resources or {})["platform"]
    assert isinstance(platform, HighwayPlatform)
    assert platform.settings().incoming_folder == tmp_path / "incoming"


@pytest.mark.parametrize("file", ["dagster.yaml", "deploy/dagster.yaml"])
def test_an_instance_configuration_is_valid(file: str) -> None:
    """As Dagster reads it; for the server's storage this is as far as it goes without a driver."""
    path = PROJECT / file
    config, _ = dagster_instance_config(str(path.parent))
    assert config["run_monitoring"]["enabled"]
    assert config["concurrency"]["pools"] == {"default_limit": 1, "granularity": "run"}


def test_both_instances_differ_in_storage_only() -> None:
    local, server = (_yaml(name) for name in ("dagster.yaml", "deploy/dagster.yaml"))
    storage = server.pop("storage")
    assert server == local
    database = storage["postgres"]["postgres_db"]
    assert database.pop("scheme") == "postgresql+psycopg2"
    variables = {value["env"] for value in database.values()}
    assert variables == {
        "DAGSTER_PG_USER",
        "DAGSTER_PG_PASSWORD",
        "DAGSTER_PG_HOST",
        "DAGSTER_PG_DB",
        "DAGSTER_PG_PORT",
    }
    assert all(name in (PROJECT / "deploy/dagster.yaml").read_text() for name in variables)


def test_the_server_is_found_on_loopback_only() -> None:
    (found,) = _yaml("deploy/workspace.yaml")["load_from"]
    assert found["grpc_server"]["host"] == "127.0.0.1"
    assert found["grpc_server"]["location_name"] == "ngsim_assets.definitions"
    text = (PROJECT / "deploy/dagster.yaml").read_text()
    assert f"-p {found['grpc_server']['port']}" in text
    assert "0.0.0.0" not in text  # noqa: S104


def _yaml(name: str) -> dict[str, Any]:
    return yaml.safe_load((PROJECT / name).read_text())
