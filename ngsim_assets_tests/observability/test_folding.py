"""Nothing that a process counted is lost when it ends, nor counted twice."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ngsim_assets.observability import folding
from ngsim_assets.observability.folding import FILE, Ledger, MetricsBusy, locked, totals
from ngsim_assets.observability.ingestors import under_way
from ngsim_assets.observability.keeping import kept
from ngsim_assets.observability.metrics import INGESTION_SECONDS, IngestionMetrics
from ngsim_assets.settings import load_settings
from ngsim_assets.storage import atomic
from ngsim_assets.storage.errors import DiskFull

HERE = (("highway", "us-101"), ("source", "incoming"))
ROWS = ("ngsim_records_total", HERE)


def _process(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "ngsim_assets_tests.observability.counting"]
    return subprocess.Popen(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, text=True, bufsize=1
    )


def _counted(folder: Path, rows: int) -> Ledger:
    metrics = IngestionMetrics()
    metrics.records_total.labels("us-101", "incoming").inc(rows)
    ledger = Ledger(metrics.registry, folder)
    ledger.fold()
    return ledger


def test_processes_that_end_one_after_another_add_up(tmp_path: Path) -> None:
    for rows in (3, 4):
        _counted(tmp_path, rows)
    assert totals(tmp_path)[ROWS] == 7


def test_what_was_added_is_not_added_again(tmp_path: Path) -> None:
    metrics = IngestionMetrics()
    ledger = Ledger(metrics.registry, tmp_path)
    rows = metrics.records_total.labels("us-101", "incoming")
    seconds = metrics.ingestion_duration_seconds.labels("us-101", "incoming")
    rows.inc(2)
    seconds.observe(0.3)
    assert ledger.fold()
    assert not ledger.fold()
    rows.inc(3)
    seconds.observe(70)
    assert ledger.fold()
    found = totals(tmp_path)
    assert found[ROWS] == 5
    assert found["ngsim_ingestion_duration_seconds_count", HERE] == 2
    assert found["ngsim_ingestion_duration_seconds_sum", HERE] == 70.3
    buckets = {
        dict(labels)["le"]: value
        for (name, labels), value in found.items()
        if name == "ngsim_ingestion_duration_seconds_bucket"
    }
    assert len(buckets) == len(INGESTION_SECONDS.buckets) + 1
    assert (buckets["0.1"], buckets["0.5"], buckets["60.0"], buckets["300.0"]) == (0, 1, 1, 2)


def test_gauges_are_what_was_set_last_by_anybody(tmp_path: Path) -> None:
    first, second = IngestionMetrics(), IngestionMetrics()
    ledger = Ledger(first.registry, tmp_path)
    first.quality_score.labels("us-101", "cleaned").set(90)
    ledger.fold()
    second.quality_score.labels("us-101", "cleaned").set(70)
    Ledger(second.registry, tmp_path).fold()
    first.records_total.labels("us-101", "incoming").inc()
    ledger.fold()  # it has set no score since
    scored = ("ngsim_quality_score", (("highway", "us-101"), ("stage", "cleaned")))
    assert totals(tmp_path)[scored] == 70


def test_eight_processes_at_once_lose_and_double_nothing(tmp_path: Path) -> None:
    processes = [_process("often", tmp_path, 50) for _ in range(8)]
    assert [process.wait(120) for process in processes] == [0] * 8
    found = totals(tmp_path)
    assert found[ROWS] == 8 * 50 * 7
    assert found["ngsim_ingestion_duration_seconds_count", HERE] == 8 * 50
    for process in processes:
        assert process.stdout is not None
        process.stdout.close()


def test_a_process_that_is_killed_loses_the_fold_it_was_at_and_no_other(tmp_path: Path) -> None:
    for _ in range(3):
        before = totals(tmp_path).get(ROWS, 0)
        process = _process("for-ever", tmp_path)
        assert process.stdout is not None
        for _ in range(20):
            assert process.stdout.readline() == "folded\n"
        process.kill()
        told = 20 + process.stdout.read().count("folded\n")
        process.wait()
        process.stdout.close()
        # at most the one that was done and not told of any more
        assert totals(tmp_path)[ROWS] - before in {told, told + 1}
    _counted(tmp_path, 1)  # nobody holds the lock


def test_what_is_under_way_is_announced_and_dies_with_its_process(tmp_path: Path) -> None:
    folder = load_settings(data=tmp_path).metrics
    process = _process("ingest", tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    assert under_way(folder) == {("us-101", "incoming"): 1}
    process.kill()
    process.wait()
    process.stdout.close()
    assert not under_way(folder)
    assert totals(folder)[ROWS] == 5, "added while it went on"
    assert list((folder / "active").iterdir())
    with kept(load_settings(data=tmp_path)):
        pass
    assert not list((folder / "active").iterdir())


def test_what_is_under_way_is_no_longer_when_it_is_done(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path)
    with kept(settings, every=0.02) as metrics:
        gauge = metrics.active_ingestors.labels("i-80", "ngsim")
        gauge.inc(2)
        _wait_until(lambda: under_way(settings.metrics) == {("i-80", "ngsim"): 2})
        gauge.dec()
        _wait_until(lambda: under_way(settings.metrics) == {("i-80", "ngsim"): 1})
        gauge.dec()
        _wait_until(lambda: not under_way(settings.metrics))
        metrics.records_total.labels("i-80", "ngsim").inc()
    assert "ngsim_active_ingestors" not in (settings.metrics / FILE).read_text()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content.replace(b" 7.0", b" -7.0"),
        lambda content: content.replace(b" 7.0", b" seven"),
        lambda content: b"\x00" * len(content),
        lambda content: b"",
    ],
)
def test_a_damaged_file_is_kept_aside_and_counting_begins_anew(
    tmp_path: Path, damage: Callable[[bytes], bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    _counted(tmp_path, 7)
    path = tmp_path / FILE
    broken = damage(path.read_bytes())
    path.write_bytes(broken)
    _counted(tmp_path, 4)
    assert totals(tmp_path)[ROWS] == 4
    assert (tmp_path / f"{FILE}.damaged").read_bytes() == broken
    assert not list(tmp_path.glob("*damaged*.prom"))
    assert "damaged" in capsys.readouterr().err


def test_a_histogram_that_had_other_buckets_begins_anew(tmp_path: Path) -> None:
    metrics = IngestionMetrics()
    metrics.ingestion_duration_seconds.labels("us-101", "incoming").observe(1)
    metrics.records_total.labels("us-101", "incoming").inc(7)
    Ledger(metrics.registry, tmp_path).fold()
    path = tmp_path / FILE
    path.write_text(path.read_text().replace('le="0.5"', 'le="0.7"'))
    metrics = IngestionMetrics()
    metrics.ingestion_duration_seconds.labels("us-101", "incoming").observe(1)
    Ledger(metrics.registry, tmp_path).fold()
    found = totals(tmp_path)
    assert found["ngsim_ingestion_duration_seconds_count", HERE] == 1
    assert found[ROWS] == 7


def test_the_file_is_prometheus_text_with_buckets_in_order(tmp_path: Path) -> None:
    metrics = IngestionMetrics()
    for highway in ("us-101", 'odd "name"\\\n'):
        metrics.ingestion_duration_seconds.labels(highway, "incoming").observe(3)
    Ledger(metrics.registry, tmp_path).fold()
    text = (tmp_path / FILE).read_text()
    (family,) = text_string_to_metric_families(text)
    assert (family.name, family.type) == (INGESTION_SECONDS.name, "histogram")
    bounds = [
        float(sample.labels["le"])
        for sample in family.samples
        if sample.name.endswith("_bucket") and sample.labels["highway"] == "us-101"
    ]
    assert bounds == [*INGESTION_SECONDS.buckets, float("inf")]
    assert {sample.labels["highway"] for sample in family.samples} == {"us-101", 'odd "name"\\\n'}
    assert text.count("# TYPE") == 1
    assert totals(tmp_path)["ngsim_ingestion_duration_seconds_count", HERE] == 1


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = IngestionMetrics()
    ledger = Ledger(metrics.registry, tmp_path)
    metrics.records_total.labels("us-101", "incoming").inc(7)

    def full(path: Path, content: bytes) -> None:
        raise DiskFull(path)

    with monkeypatch.context() as patched:
        patched.setattr(folding, "write_atomically", full)
        with pytest.raises(DiskFull):
            ledger.fold()
    ledger.fold()
    assert totals(tmp_path)[ROWS] == 7


def test_a_write_that_fails_after_it_took_effect_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics = IngestionMetrics()
    ledger = Ledger(metrics.registry, tmp_path)
    metrics.records_total.labels("us-101", "incoming").inc(7)

    def fails(folder: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(atomic, "sync_folder", fails)
        ledger.fold()
    metrics.records_total.labels("us-101", "incoming").inc()
    ledger.fold()
    assert totals(tmp_path)[ROWS] == 8


def test_a_process_that_hangs_with_the_file_holds_nobody_up(tmp_path: Path) -> None:
    metrics = IngestionMetrics()
    ledger = Ledger(metrics.registry, tmp_path)
    metrics.records_total.labels("us-101", "incoming").inc(7)
    with locked(tmp_path, ".folding.lock", 1), pytest.raises(MetricsBusy, match="another process"):
        ledger.fold(patience=0.05)
    ledger.fold()
    assert totals(tmp_path)[ROWS] == 7


def test_measuring_where_nothing_can_be_written_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metrics").write_text("not a folder")
    with kept(load_settings(data=tmp_path), every=0.02) as metrics:
        metrics.active_ingestors.labels("us-101", "incoming").inc()
        metrics.records_total.labels("us-101", "incoming").inc()
        threading.Event().wait(0.2)
    said = capsys.readouterr().err
    assert said.count("metrics were not kept") == 1


def test_an_error_of_the_work_passes_and_its_counts_are_kept(tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path)

    def work() -> None:
        with kept(settings) as metrics:
            metrics.records_total.labels("us-101", "incoming").inc(3)
            raise ValueError("the work")

    with pytest.raises(ValueError, match="the work"):
        work()
    assert totals(settings.metrics)[ROWS] == 3


def _wait_until(holds: Callable[[], bool]) -> None:
    for _ in range(500):
        if holds():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came to hold")
