"""Sessions that are dropped into a folder, by real ticks and real runs, from files to tables."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import replace

import dagster as dg
import polars as pl
import psycopg
import pytest

from ngsim_assets.automation import failures
from ngsim_assets.definitions import build_definitions
from ngsim_assets.f1 import assets, plots
from ngsim_assets.f1.data_versions import BUILT_FROM, POSTGRES, SESSION_TABLES
from ngsim_assets.f1.model import F1_LAPS
from ngsim_assets.f1.platform import identity, report_folder
from ngsim_assets.f1.recipes import REPORT, TABLE_OF
from ngsim_assets.f1.resources import SESSION_PARTITIONS
from ngsim_assets.observability import folding
from ngsim_assets_tests.f1.dagster.watched import MONACO, SPA, Watched

EVERYTHING = frozenset(BUILT_FROM)
TABLES = frozenset(SESSION_TABLES)
KEY, OTHER = str(MONACO.session), str(SPA.session)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A platform that has built one session by itself."""
    data = tmp_path_factory.mktemp("platform")
    with pytest.MonkeyPatch.context() as patched, dg.DagsterInstance.ephemeral() as instance:
        patched.setenv("NGSIM_DATA", str(data))
        patched.setenv("NGSIM_SETTLE", "0")
        patched.delenv("NGSIM_POSTGRES_DSN", raising=False)
        platform = Watched(data, instance)
        assert "nothing new" in platform.tick().skipped
        platform.drop(MONACO)
        told = platform.take_in()
        assert (told["taken in"], told["refused"], told["sessions with new content"]) == (1, 0, 1)
        assert platform.settle() == [{KEY: EVERYTHING}]
        yield platform


def test_a_session_that_was_dropped_became_tables_and_a_report(built: Watched) -> None:
    assert built.instance.get_dynamic_partitions(SESSION_PARTITIONS) == [KEY]
    assert built.versions(MONACO).keys() == set(TABLE_OF)
    laps = built.platform.lake.scan(F1_LAPS, identity(MONACO.session)).collect()
    assert laps.schema == F1_LAPS.schema
    assert laps.group_by("driver_number").len()["len"].to_list() == [3, 3, 3]
    folder = report_folder(built.platform.reports, MONACO.session)
    assert "data:image/png;base64," in (folder / "report.html").read_text()
    report = built.materialization(REPORT)
    assert {"report", "path", "score_session", "laps"} <= report.keys()
    assert "](data:image/png;base64," in report["report"]
    assert built.materialization(POSTGRES)["home"].startswith("no second home is configured")


def test_what_came_in_and_was_judged_is_counted(built: Watched) -> None:
    counted = {
        (
            name,
            *(dict(labels)[label] for label in ("highway", "source") if label in dict(labels)),
        ): n
        for (name, labels), n in folding.totals(built.settings.metrics).items()
    }
    messages = built.materialization("f1_messages")["accounted"]
    assert counted["ngsim_records_total", "formula-1", "f1-files"] == messages["lines"]
    judged = sum(
        built.materialization(table).get("accounted", {}).get("read", 0) for table in TABLES
    )
    assert counted["ngsim_validated_records_total", "formula-1", "all"] == judged > 0
    assert counted["ngsim_quality_score", "formula-1"] > 0


def test_every_check_ran_for_the_session_and_all_that_block_passed(built: Watched) -> None:
    keys = [
        spec.key
        for checks in built.definitions.asset_checks or []
        for spec in checks.check_specs
        if spec.asset_key.path[-1] in EVERYTHING
    ]
    found = built.instance.event_log_storage.get_asset_check_partition_info(keys)
    assert {info.check_key for info in found} == set(keys)
    assert {info.partition_key for info in found} == {KEY}
    blocking = {key for checks in built.definitions.asset_checks or [] for key in _blocking(checks)}
    assert len(blocking & set(keys)) > len(SESSION_TABLES)
    refused = {i.check_key for i in found if i.latest_execution_status.value == "FAILED"}
    assert refused & blocking == set()


def test_each_table_says_what_it_is_and_what_it_was_made_of(built: Watched) -> None:
    graph = built.definitions.resolve_asset_graph()
    for asset in SESSION_TABLES:
        node = graph.get(dg.AssetKey(asset))
        schema = node.metadata["dagster/column_schema"]
        assert {column.name for column in schema.columns} == set(TABLE_OF[asset].columns)
        assert node.description
        assert {key.path[-1] for key in node.parent_keys} == set(BUILT_FROM[asset])
    messages = built.materialization("f1_messages")
    account = messages["accounted"]
    assert account["lines"] == account["messages"] == messages["dagster/row_count"]
    assert sum(file["messages"] for file in messages["source_files"]) == account["messages"]


def test_what_was_built_is_nothing_to_do(built: Watched) -> None:
    assert "nothing new" in built.tick().skipped
    assert built.wanted() == {}


def test_the_same_files_under_another_name_are_no_work(built: Watched) -> None:
    before = built.versions(MONACO)
    built.copy(built.folder / KEY, "copy")
    assert built.take_in()["sessions with new content"] == 0
    assert built.wanted() == {}
    assert built.versions(MONACO) == before


def test_what_changed_is_rebuilt_and_nothing_else(
    built: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "session_figures", lambda scans: ())  # drawn once is enough
    weather = built.folder / KEY / "WeatherData.jsonStream"
    before = built.versions(MONACO)
    for place in (weather, built.folder / "copy" / weather.name):
        lines = weather.read_bytes().splitlines(keepends=True)
        place.write_bytes(b"".join(lines[:-3]))
    assert built.take_in()["sessions with new content"] == 1
    assert built.wanted() == {KEY: EVERYTHING}
    assert built.build(KEY, EVERYTHING).success
    after = built.versions(MONACO)
    changed = {name for name in after if after[name] != before[name]}
    assert changed >= {"f1_messages", "f1_weather", REPORT}
    assert _content(built, F1_LAPS.name) == 9


def test_another_code_version_rebuilds_what_hangs_on_it(
    built: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        session, report, postgres = assets.BUILT
        newer = report.map_asset_specs(lambda spec: spec.replace_attributes(code_version="next"))
        monkeypatch.setattr(assets, "BUILT", [session, newer, postgres])
        changed = replace(built, definitions=build_definitions(), cursors=dict(built.cursors))
        assert changed.wanted() == {KEY: {REPORT, POSTGRES}}


def test_a_second_home_that_is_named_later_gets_every_session(
    built: Watched, monkeypatch: pytest.MonkeyPatch, postgres_server: str
) -> None:
    monkeypatch.setenv("NGSIM_POSTGRES_DSN", postgres_server)
    with_home = replace(built, cursors=dict(built.cursors))
    assert with_home.wanted() == {KEY: {POSTGRES}}
    agreed = with_home.check(with_home.build(KEY, frozenset({POSTGRES})), "both_homes_agree")
    assert (agreed.passed, agreed.metadata["tables_that_differ"].value) == (True, 0)
    told = with_home.materialization(POSTGRES)
    assert told["home"] == "PostgreSQL"
    assert told["rows_sent"] == told["dagster/row_count"] > 0

    with psycopg.connect(postgres_server) as connection:
        connection.execute("UPDATE ngsim.f1_laps SET position = 7 WHERE session = %s", [KEY])
    again = with_home.build(KEY, frozenset({POSTGRES}))
    assert again.success, "it warns"
    differing = with_home.check(again, "both_homes_agree")
    assert not differing.passed
    assert "f1_laps" in str(differing.description)


def test_a_failure_is_remembered_until_it_is_made_up_for(built: Watched) -> None:
    built.tick("failed_builds")
    store = built.platform.store
    lost = store.objects.rename(store.objects.with_name("lost"))
    assert not built.build(KEY, TABLES).success
    built.tick("failed_builds")
    (failure,) = failures.standing(built.settings)
    assert (failure.recording, failure.step) == (KEY, "f1_session")
    assert KEY in failure.cause
    assert "1 left failed" in built.tick("mended_builds").skipped
    lost.rename(store.objects)
    assert built.build(KEY, TABLES).success
    built.tick("mended_builds")
    assert failures.standing(built.settings) == []


def test_what_is_no_session_is_refused_once_and_holds_up_nothing(built: Watched) -> None:
    garbage = built.folder / "garbage.txt"
    garbage.write_bytes(b"\x00\xff this is no recording\n")
    (built.folder / "noise.zip").write_bytes(bytes(range(256)))
    built.drop(SPA)
    told = built.take_in()
    assert (told["taken in"], told["refused"], told["sessions with new content"]) == (1, 2, 1)
    rows = told["refused, by name"]
    assert {row["path"] for row in rows} == {str(garbage), str(built.folder / "noise.zip")}
    assert all(row["problem"] and row["fix"] for row in rows)
    assert garbage.exists()
    assert "2 of them refused" in built.tick().skipped
    assert built.wanted()[OTHER] == EVERYTHING


def test_a_new_instance_learns_what_was_delivered_before(built: Watched) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        fresh = Watched(built.data, instance)
        assert fresh.take_in()["sessions with new content"] == 2
        assert fresh.observed() == built.observed()
        assert "nothing new" in fresh.tick().skipped


def _blocking(checks: object) -> set[dg.AssetCheckKey]:
    assert isinstance(checks, dg.AssetChecksDefinition)
    return {spec.key for spec in checks.check_specs if spec.blocking}


def _content(built: Watched, asset: str) -> int:
    rows = built.platform.lake.scan(TABLE_OF[asset], identity(MONACO.session))
    return rows.select(pl.len()).collect().item()
