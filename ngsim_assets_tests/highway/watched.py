"""A platform that is watched: real sensor ticks on a real Dagster instance, runs in this process.

Belongs here: what the daemon does with a sensor, made visible step by step. Does not belong here:
what is expected of it.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg

from ngsim_assets.definitions import build_definitions
from ngsim_assets.highway import stages
from ngsim_assets.highway.resources import RAW_FILES, HighwayPlatform
from ngsim_assets.highway.sensors import TAKE_IN_FILES
from ngsim_assets.highway.simulation.write_source import write_source
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets_tests.highway.deliveries import rows


@dataclass
class Tick:
    """What came of one evaluation of a sensor."""

    requests: list[dg.RunRequest]
    skipped: str
    cursor: str | None


@dataclass
class Watched:
    """A platform in a folder, an instance of its own, and the sensors' cursors."""

    data: Path
    instance: dg.DagsterInstance
    repository: dg.RepositoryDefinition
    cursors: dict[str, str | None] = field(default_factory=dict)

    @property
    def incoming(self) -> Path:
        folder = self.data / "incoming"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def settings(self) -> Settings:
        return load_settings(data=self.data)

    @property
    def platform(self) -> stages.Platform:
        return stages.open_platform(self.settings)

    def tick(self, sensor: str = "incoming_files") -> Tick:
        """Evaluate a sensor as the daemon does: its cursor is kept from tick to tick."""
        definition = self.repository.get_sensor_def(sensor)
        with dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(sensor),
            repository_def=self.repository,
            resources={"platform": HighwayPlatform()},
            sensor_name=sensor,
        ) as context:
            done = definition.evaluate_tick(context)
        self.cursors[sensor] = done.cursor
        return Tick(list(done.run_requests or []), done.skip_message or "", done.cursor)

    def run(self, request: dg.RunRequest, **how: Any) -> dg.ExecuteInProcessResult:
        """Do what the daemon does with a request, but for a key that was asked for before."""
        assert (
            self.instance.get_runs(dg.RunsFilter(tags={"dagster/run_key": request.run_key})) == []
        )
        return self.execute(
            TAKE_IN_FILES, {**request.tags, "dagster/run_key": request.run_key}, **how
        )

    def execute(
        self, job: str, tags: dict[str, str] | None = None, **how: Any
    ) -> dg.ExecuteInProcessResult:
        return self.repository.get_job(job).execute_in_process(
            instance=self.instance, tags=tags, raise_on_error=False, **how
        )

    def take_in(self) -> dg.ExecuteInProcessResult:
        """A tick that asks for a run, and the run."""
        (request,) = self.tick().requests
        return self.run(request)

    def deliver(self, name: str, **what: Any) -> Path:
        """Put a small recording into the incoming folder."""
        path = self.incoming / name
        write_source(rows(**what), path, "csv" if name.endswith(".csv") else "text")
        return path

    def observed(self) -> dict[str, str]:
        """Data version of every recording that was observed."""
        found = self.instance.event_log_storage.get_latest_tags_by_partition(
            RAW_FILES, dg.DagsterEventType.ASSET_OBSERVATION, ["dagster/data_version"]
        )
        return {partition: tags["dagster/data_version"] for partition, tags in found.items()}

    def observations(self) -> int:
        """How often any recording was observed."""
        return len(self.instance.fetch_observations(RAW_FILES, limit=1000).records)


def new_home(folder: Path) -> Path:
    """A Dagster instance that knows nothing, to copy: making one takes seconds."""
    with dg.DagsterInstance.local_temp(str(folder)):
        return folder


@contextmanager
def watched(home: Path, data: Path) -> Iterator[Watched]:
    """A platform in `data`, which `NGSIM_DATA` names, on a copy of the instance in `home`."""
    shutil.copytree(home, data / "dagster")
    with dg.DagsterInstance.local_temp(str(data / "dagster")) as instance:
        yield Watched(data, instance, _repository())


@cache
def _repository() -> dg.RepositoryDefinition:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return build_definitions().get_repository_def()


def failed_run(platform: Watched, request: dg.RunRequest) -> dg.DagsterRun:
    """What is left of a requested run whose process was killed."""
    run = platform.instance.create_run_for_job(
        platform.repository.get_job(TAKE_IN_FILES),
        status=dg.DagsterRunStatus.STARTED,
        tags={**request.tags, "dagster/run_key": str(request.run_key)},
    )
    platform.instance.report_run_failed(run, "killed")
    return run


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """What the only step of a run said, as plain values."""
    (event,) = [e for e in result.all_events if e.event_type_value == "STEP_OUTPUT"]
    found = event.step_output_data.metadata
    return {name: value.value for name, value in found.items()}
