"""Every reason, flag and rule that the code knows has a meaning; the guide's commands are there."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest
from typer.core import TyperGroup as Group
from typer.main import get_command

from ngsim_assets.cli import app
from ngsim_assets.f1.neutralisations.phases import FLAGS, Flag
from ngsim_assets.f1.pages import rules_page
from ngsim_assets.f1.reading.messages import MEANINGS, Reason
from ngsim_assets.f1.tables import TABLES
from ngsim_assets.f1.telemetry import ranges
from ngsim_assets.f1.validation_rules import rules_by_table
from ngsim_assets.settings import Settings

_GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "INGESTION_GUIDE.md").read_text()

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


def test_commands_of_the_guide_and_their_options_are_there() -> None:
    command = get_command(app)
    assert isinstance(command, Group)
    formula = command.commands["f1"]
    assert isinstance(formula, Group)
    told = re.findall(r"ngsim f1 (\w+)([^#`\n|]*)", _GUIDE)
    assert len(told) > 15
    for name, rest in told:
        known = {option for one in formula.commands[name].params for option in one.opts}
        known |= {option for one in formula.commands[name].params for option in one.secondary_opts}
        assert set(re.findall(r"--[\w-]+", rest)) <= known, name


def test_settings_and_tables_of_the_guide_are_there() -> None:
    settings = {f"NGSIM_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"NGSIM_[A-Z0-9_]+", _GUIDE)) <= settings
    tables = {table.name for table in TABLES}
    named = set(re.findall(r"`(f1_\w+)`", _GUIDE)) - {
        "f1_feeds",
        "f1_quality_report",
        "f1_postgres",
    }
    assert named <= tables
    assert tables - named <= {"f1_telemetry_resampled"}
