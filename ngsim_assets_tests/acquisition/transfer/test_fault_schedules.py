"""Under any sequence of faults a download ends whole or with a named failure, and soon."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from ngsim_assets_tests.acquisition.transfer.faults import FAULTS
from ngsim_assets_tests.acquisition.transfer.schedules import play_all

SCHEDULES = 250


@pytest.mark.usefixtures("plain_http")
def test_every_download_ends_whole_or_with_a_named_failure(tmp_path: Path):
    began = time.monotonic()
    played = asyncio.run(play_all(range(SCHEDULES), tmp_path))
    took = time.monotonic() - began

    broken = [f"{outcome}\n  {schedule}" for schedule, outcome in played if outcome.broken]
    assert not broken, "\n".join(broken)
    # the schedules are worth something: most come through in spite of what befell them, some
    # cannot, some go on with what an interrupted process left, and every fault is met
    ended = Counter(outcome.ended for _, outcome in played)
    assert SCHEDULES * 0.5 < ended["whole"] < SCHEDULES
    assert len(ended) >= 6
    assert sum(outcome.resumed for _, outcome in played) >= 5
    befell = Counter(kind for _, outcome in played for kind in outcome.befell)
    assert {kind for kind in FAULTS if kind != "status"} <= befell.keys()
    assert {"status 500", "status 502", "status 503", "status 429"} <= befell.keys()
    # nothing waits in earnest: back-off takes no time here, a stall a fraction of a second
    assert took < 120
