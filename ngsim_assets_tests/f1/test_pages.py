"""Every reason, flag and rule that the code knows has a meaning, and the page tells it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest

from ngsim_assets.f1.neutralisations.phases import FLAGS, Flag
from ngsim_assets.f1.pages import rules_page
from ngsim_assets.f1.reading.messages import MEANINGS, Reason
from ngsim_assets.f1.telemetry import ranges
from ngsim_assets.f1.validation_rules import rules_by_table

_NAMES = {
    "reasons of lines": get_args(Reason),
    "flags of phases": get_args(Flag),
    "telemetry": (*ranges.CAR_REJECTED, ranges.SPEED_FLAG, *ranges.CAR_NULLED),
    "positions": (*ranges.PLACE_REJECTED, *ranges.PLACE_NULLED),
    **{
        table: tuple(rule.name for rule in rules)
        for table, rules in rules_by_table(datetime(2026, 1, 1, tzinfo=UTC)).items()
    },
}


def test_reasons_and_flags_have_meanings() -> None:
    assert set(MEANINGS) == set(get_args(Reason))
    assert set(FLAGS) == set(get_args(Flag))


@pytest.mark.parametrize("what", _NAMES)
def test_the_page_tells_every_name(what: str) -> None:
    page = rules_page()
    assert len(_NAMES[what]) > 0
    assert [name for name in _NAMES[what] if f"| `{name}` |" not in page] == []
