"""The record of failed builds: counted, forgotten when mended, told with what names the fix."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ngsim_assets.automation import failures
from ngsim_assets.automation.failures import Failure
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets.storage.errors import DiskFull

ONE, OTHER = "i-80|2005-04-13T1600", "monza_race"

FAILED = Failure(ONE, "validation", "no space left", "run-1", datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data=tmp_path)


def test_tries_are_counted_and_a_run_told_twice_counts_once(settings: Settings) -> None:
    assert failures.standing(settings) == []
    assert failures.record(settings, FAILED).attempts == 1
    assert failures.record(settings, FAILED).attempts == 1
    again = replace(FAILED, run_id="run-2", cause="still none")
    assert failures.record(settings, again).attempts == 2
    assert failures.standing(settings) == [replace(again, attempts=2)]


def test_what_succeeded_is_forgotten_and_nothing_else(settings: Settings) -> None:
    others = [replace(FAILED, step="traffic_state"), replace(FAILED, recording=OTHER)]
    for failure in (FAILED, *others):
        failures.record(settings, failure)
    assert failures.resolve(settings, ONE, {"validation", "other"}) == [FAILED]
    assert failures.standing(settings) == others
    lost = replace(FAILED, step=failures.UNKNOWN_STEP)
    failures.record(settings, lost)
    assert failures.resolve(settings, ONE, {"raw_trajectories"}) == [lost]


def test_one_that_cannot_be_read_says_so_and_hides_no_other(settings: Settings) -> None:
    failures.record(settings, FAILED)
    (settings.data / "failures" / "torn.json").write_text('{"recording": "us-')
    torn, kept = failures.standing(settings)
    assert kept == FAILED
    assert "torn.json cannot be read: delete it" in torn.cause
    assert not failures.finding(settings).passed


def test_the_cause_is_the_error_that_names_the_fix() -> None:
    system = _Error("OSError", "OSError: [Errno 28] No space\nleft")
    ours = _Error("DiskFull", f"ngsim.DiskFull: {DiskFull(Path('/lake/x'))}", system)
    step = _Error("StepError", "StepError: op failed", ours)
    assert failures.cause_of(step, "r").startswith("no space left on the disk while writing")
    other = failures.cause_of(_Error("StepError", "StepError: op failed", system), "r")
    assert other == "OSError: [Errno 28] No space left; the traceback is with run r"
    assert "r tells no reason" in failures.cause_of(None, "r")


class _Error:
    def __init__(self, cls_name: str, message: str, cause: _Error | None = None) -> None:
        self.cls_name: str | None = cls_name
        self.message = message
        self.cause: failures.RunError | None = cause
