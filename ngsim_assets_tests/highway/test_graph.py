"""The asset graph on real runs: a file goes in, tables, quarantine and report come out."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from ngsim_assets.definitions import BUILD_RECORDING, SUMMARISE_CORPUS, build_definitions
from ngsim_assets.highway import intake, model, overview, stages
from ngsim_assets.highway.assets import PICTURES
from ngsim_assets.highway.automation import AUTOMATION, report_restored
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.resources import HighwayPlatform, register
from ngsim_assets.highway.simulate import Scenario, simulate
from ngsim_assets.highway.simulation.faults import inject_faults
from ngsim_assets.highway.simulation.write_source import write_source
from ngsim_assets.settings import load_settings

KEY = PartitionKey("us-101", "2005-06-15T0750")
TABLES_OF_A_RECORDING = [table for table in model.TABLES.values() if table.partition_by]


@dataclass
class Graph:
    """A platform in a temporary folder with a Dagster instance of its own."""

    data: Path
    instance: dg.DagsterInstance
    definitions: dg.Definitions

    @property
    def platform(self) -> stages.Platform:
        return stages.open_platform(load_settings(data=self.data))

    def take(self, path: Path) -> list[PartitionKey]:
        landing = self.platform.landing
        keys = sorted(
            {key for taken in intake.take_in(path, landing) for key in taken.keys}, key=str
        )
        for key in keys:
            rows = sum(delivery.rows for delivery in landing.deliveries(str(key)))
            register(self.instance, key, landing.partition_hash(str(key)), rows)
        return keys

    def build(self, key: PartitionKey) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def(BUILD_RECORDING).execute_in_process(
            instance=self.instance, partition_key=str(key), raise_on_error=False
        )

    def wanted(self) -> dict[str | None, set[str]]:
        """What automation would build now, by partition, as a daemon without memory sees it."""
        context = dg.build_sensor_context(
            self.instance,
            repository_def=self.definitions.get_repository_def(),
            sensor_name=AUTOMATION.name,
        )
        requests = AUTOMATION.evaluate_tick(context).run_requests or []
        return {
            request.partition_key: {key.to_user_string() for key in request.asset_selection or []}
            for request in requests
        }

    def versions(self) -> dict[str, int]:
        commits = {
            table.name: self.platform.lake.current(table, stages.identity(KEY))
            for table in TABLES_OF_A_RECORDING
            if table is not model.QUARANTINE
        }
        return {name: commit.version for name, commit in commits.items() if commit is not None}


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds of simulated traffic with one row in fifty at fault, as a text file."""
    folder = tmp_path_factory.mktemp("delivered")
    simulation = simulate(Scenario(minutes=0.34, seed=7))
    faulty, _ = inject_faults(simulation.recording, rate=0.02, seed=7)
    path = folder / "trajectories-0750am-0805am.txt"
    write_source(faulty, path, "text")
    return path


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Graph]:
    data = tmp_path_factory.mktemp("platform")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        definitions = build_definitions(resources={"platform": HighwayPlatform(data=str(data))})
        with dg.DagsterInstance.ephemeral() as instance:
            yield Graph(data, instance, definitions)


@pytest.fixture(scope="module")
def built(graph: Graph, delivered: Path) -> Graph:
    (key,) = graph.take(delivered)
    assert key == KEY
    result = graph.build(key)
    assert result.success
    return graph


def test_every_row_is_validated_or_quarantined(built: Graph, delivered: Path) -> None:
    rows_in_file = sum(1 for line in delivered.read_bytes().splitlines() if line.strip())
    counted = overview.recording_summary(built.platform, KEY)
    assert counted["raw"] == rows_in_file
    assert counted["validated"] + counted["quarantined"] == rows_in_file
    assert counted["quarantined"] > 0


def test_every_quarantined_row_names_its_rules_file_and_row(built: Graph, delivered: Path) -> None:
    refused = built.platform.lake.scan(model.QUARANTINE, stages.identity(KEY)).collect()
    assert refused["reasons"].list.len().min() >= 1
    assert refused["source_file"].unique().to_list() == [delivered.name]
    lines = delivered.read_text().splitlines()
    for row in refused.head(20).iter_rows(named=True):
        assert int(lines[row["source_row"] - 1].split()[0]) == row["vehicle_id"]


def test_tables_keep_the_contract(built: Graph) -> None:
    for table in TABLES_OF_A_RECORDING:
        frame = built.platform.lake.scan(table, stages.identity(KEY))
        assert frame.collect_schema() == table.schema, table.name
        assert frame.select(pl.len()).collect().item() > 0, table.name


def test_every_check_passed_for_the_recording(built: Graph) -> None:
    evaluations = [
        event.asset_check_evaluation_data
        for event in built.build(KEY).all_events
        if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION
    ]
    assert len(evaluations) >= 10
    assert {evaluation.partition for evaluation in evaluations} == {str(KEY)}
    assert [e.check_name for e in evaluations if e.blocking and not e.passed] == []


def test_running_again_makes_no_new_version(built: Graph, delivered: Path) -> None:
    before = built.versions()
    assert len(before) == len(TABLES_OF_A_RECORDING) - 1
    built.take(delivered)
    assert built.build(KEY).success
    assert built.versions() == before
    assert overview.stale_tables(built.platform, KEY) == []


def test_what_was_built_by_hand_is_nothing_to_automate(built: Graph) -> None:
    assert set(built.wanted()) <= {None}, "but for the summary"


def test_registering_the_same_content_again_adds_no_event(built: Graph) -> None:
    landing = built.platform.landing
    assert not register(built.instance, KEY, landing.partition_hash(str(KEY)), 1)


def test_the_report_is_stored_and_shown(built: Graph) -> None:
    folder = overview.report_folder(built.platform.reports, KEY)
    html = (folder / "report.html").read_text()
    assert "<script src" not in html
    assert "http-equiv" not in html
    assert "data:image/png;base64," in html
    event = built.instance.get_latest_materialization_event(dg.AssetKey("quality_report"))
    assert event is not None
    assert event.asset_materialization is not None
    told = event.asset_materialization.metadata
    assert {"report", "path"} <= set(told)
    scores = [told[f"score_{stage}"].value for stage in ("validated", "cleaned")]
    assert 0 <= scores[0] < scores[1] <= 100
    assert isinstance(told["jerk_over_15_cleaned"].value, float)
    markdown = told["report"].value
    assert "### Score" in markdown
    assert markdown.count("](data:image/png;base64,") == len(PICTURES)


def test_the_corpus_is_summarised(built: Graph) -> None:
    result = built.definitions.resolve_job_def(SUMMARISE_CORPUS).execute_in_process(
        instance=built.instance
    )
    assert result.success
    summary = built.platform.lake.scan(model.CORPUS_SUMMARY).collect()
    assert summary["recording"].to_list() == [KEY.recording]
    assert (summary["rows_raw"] == summary["rows_validated"] + summary["rows_quarantined"]).all()
    scores = built.platform.lake.scan(model.QUALITY_METRICS).filter(
        metric="quality_score", stage="cleaned"
    )
    assert summary["score"].to_list() == scores.collect()["value"].to_list()


def test_a_recording_that_was_never_delivered_says_so(built: Graph) -> None:
    absent = PartitionKey("i-80", KEY.recording)
    result = built.build(absent)
    assert not result.success
    messages = [
        event.step_failure_data.error.cause.message
        for event in result.all_events
        if event.is_step_failure and event.step_failure_data.error.cause
    ]
    assert any("i-80|2005-06-15T0750" in message for message in messages)


def test_a_report_that_was_never_finished_is_made_again(built: Graph) -> None:
    """A run killed between the table of metrics and the report's files."""
    assert overview.stale_tables(built.platform, KEY) == []
    told = overview.report_folder(built.platform.reports, KEY) / "report.json"
    written = told.read_bytes()
    told.unlink()
    assert overview.stale_tables(built.platform, KEY) == ["quality_metrics"]
    assert built.build(KEY).success
    assert told.read_bytes() == written
    assert overview.stale_tables(built.platform, KEY) == []


def test_automation_builds_what_hangs_on_a_table_that_was_rolled_back(built: Graph) -> None:
    lake = built.platform.lake
    table, partition = model.CLEANED_TRAJECTORIES, stages.identity(KEY)
    first = lake.current(table, partition)
    assert first is not None
    lake.replace(table, partition, [lake.scan(table, partition).head(40).collect()])
    lake.restore(table, partition, first.version)
    report_restored(built.instance, built.platform, KEY, [table.name])
    assert str(KEY) not in built.wanted(), "the same rows as those after it were built from"

    lake.replace(table, partition, [lake.scan(table, partition).head(40).collect()])
    report_restored(built.instance, built.platform, KEY, [table.name])
    hanging = {"trajectory_segments", "traffic_state", "quality_report"}
    assert built.wanted().get(str(KEY)) == hanging


def test_assets_tell_what_they_were_made_of(built: Graph, delivered: Path) -> None:
    event = built.instance.get_latest_materialization_event(dg.AssetKey("validated_points"))
    assert event is not None
    assert event.asset_materialization is not None
    told = event.asset_materialization.metadata
    (file,) = told["source_files"].value.records
    digest = hashlib.sha256(delivered.read_bytes()).hexdigest()
    assert (file.data["file"], file.data["sha256"]) == (delivered.name, digest)
    assert str(told["version"].value).startswith("v1.")
    assert "long_gap" in told["parameters"].value
    lineage = told["dagster/column_lineage"].value.deps_by_column
    assert {dep.column_name for dep in lineage["vehicle_type"]} == {"vehicle_id", "v_class"}
