"""Files that were damaged or deleted by hand: a line that says so, and a way on to the end.

Each test does what the message tells the user to do, and then finds every row again.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest

from ngsim_assets.acquisition.errors import DamagedPart
from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.highway import incoming, model, overview, stages
from ngsim_assets.highway.intake import Intake
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets_tests.command import Ngsim
from ngsim_assets_tests.highway.whole_path import build, taken_in, values
from ngsim_assets_tests.unattended.places import deliver

pytestmark = pytest.mark.usefixtures("few_pictures")


@dataclass(frozen=True)
class Built:
    """A recording that was built, and its tables then."""

    settings: Settings
    file: Path
    key: PartitionKey
    before: Mapping[str, pl.DataFrame]

    @property
    def platform(self) -> stages.Platform:
        """As a new process opens it."""
        return stages.open_platform(self.settings)

    def is_as_before(self) -> None:
        after = values(self.platform, self.key)
        for name, rows in self.before.items():
            assert rows.equals(after[name]), name
            assert self.platform.lake.verify(model.TABLES[name]) == []

    def the_only(self, pattern: str) -> Path:
        (found,) = self.settings.data.glob(pattern)
        return found


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("template")
    settings = load_settings(data=folder / "data", incoming=folder / "incoming", settle=0.0)
    file = deliver(settings.incoming_folder / "us101.csv")
    platform, (key,) = taken_in(settings.data, file)
    list(incoming.load(platform, settings))
    build(platform, key)
    return Built(settings, file, key, values(platform, key))


@pytest.fixture
def built(template: Built, ngsim: Ngsim) -> Built:
    """A copy of the data folder, which a test may damage; the delivered file is the same."""
    shutil.copytree(template.settings.data, ngsim.data)
    return replace(template, settings=template.settings.model_copy(update={"data": ngsim.data}))


def _line(ngsim: Ngsim, *command: object) -> str:
    """The one error of a command that fails."""
    _, err = ngsim(*command, code=1)
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert "(unexpected;" not in err, err
    return lines[0]


def _verified(ngsim: Ngsim, damaged: Path) -> str:
    """What `ngsim verify` says of a file it finds damaged, and what mends it."""
    out, _ = ngsim("verify", "--json", code=1)
    (found,) = (entry for entry in json.loads(out)["damages"] if str(damaged) in str(entry))
    return str(found)


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "gone"])
def test_a_corrupt_checkpoint_costs_a_look_at_every_file(built: Built, damage: str) -> None:
    checkpoint = built.the_only("landing/checkpoints/*.jsonl")
    content = checkpoint.read_bytes()
    spoilt = {"cut": content[:-7], "garbage": b"\x00\xff{" * 99, "empty": b"", "gone": b""}
    checkpoint.write_bytes(spoilt[damage])
    if damage == "gone":
        checkpoint.unlink()
    new = deliver(built.settings.incoming_folder / "more.csv", frames=45)
    results = list(incoming.load(built.platform, built.settings))
    taken = [result for result in results if isinstance(result, Intake)]
    assert [result.path.name for result in taken if result.changed] == [new.name]
    assert incoming.changes(built.settings).ready == ()
    assert len(built.platform.landing.deliveries(str(built.key))) == 2
    new.unlink()


def test_a_truncated_manifest(built: Built, ngsim: Ngsim) -> None:
    manifest = built.the_only("landing/files/*/manifest.json")
    manifest.write_bytes(manifest.read_bytes()[:200])
    line = _line(ngsim, "status")
    assert str(manifest) in line
    (told,) = re.findall(r"delete (\S+) and take the file in again", line)
    shutil.rmtree(told)
    ngsim("register", built.file)
    _rebuilt(built)


def test_a_landing_part_deleted_by_hand(built: Built, ngsim: Ngsim) -> None:
    part = built.the_only("landing/files/*/*.parquet")
    part.unlink()
    with pytest.raises(DamagedPart, match=r"cannot read \S+\.parquet: ") as stop:
        stages.store_raw(built.platform, built.key)
    built.is_as_before()
    line = _verified(ngsim, part.parent)
    (told,) = re.findall(r"delete (\S+) and take the file in again", str(stop.value))
    assert told in line
    shutil.rmtree(told)
    ngsim("register", built.file)
    _rebuilt(built)


def test_a_table_file_deleted_by_hand(built: Built, ngsim: Ngsim) -> None:
    lost = built.the_only("lake/cleaned_trajectories/**/*.parquet")
    lost.unlink()
    line = _line(ngsim, "query", "SELECT sum(speed) FROM cleaned_trajectories")
    assert lost.name in line
    assert "is missing" in _verified(ngsim, lost)
    assert "cleaned_trajectories" in overview.stale_tables(built.platform, built.key)
    _rebuilt(built)


def test_a_table_file_of_other_bytes(built: Built, ngsim: Ngsim) -> None:
    """Not seen without reading: `verify` finds it, what it says mends it."""
    spoilt = built.the_only("lake/validated_points/**/*.parquet")
    content = bytearray(spoilt.read_bytes())
    content[len(content) // 3] ^= 0xFF
    spoilt.write_bytes(content)
    assert "SHA-256 differs" in _verified(ngsim, spoilt)
    stages.store_validated(built.platform, built.key)
    _rebuilt(built)


@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_a_damaged_log_entry(built: Built, ngsim: Ngsim, damage: str) -> None:
    """Nothing is written on top of it; moved aside, the table is built anew."""
    table = built.settings.lake / "traffic_state"
    entry = max((table / "_delta_log").glob("*.json"))
    content = entry.read_bytes()
    entry.write_bytes(content[: len(content) // 2] if damage == "cut" else b"\x00\xff" * 64)
    names = sorted(path.name for path in table.rglob("*"))
    line = _line(ngsim, "query", "SELECT count(*) FROM traffic_state")
    assert "traffic_state" in line
    (found,) = built.platform.lake.verify(model.TRAFFIC_STATE)
    assert f"move {table} aside and rebuild" in found.fix
    assert sorted(path.name for path in table.rglob("*")) == names
    table.rename(built.settings.data / "aside")
    _rebuilt(built)


def _rebuilt(built: Built) -> None:
    """What is stale is built, as `ngsim build` does; then all is as it was."""
    platform = built.platform
    stale = overview.stale_tables(platform, built.key)
    build(platform, built.key)
    assert set(overview.stale_tables(built.platform, built.key)) <= {"quality_metrics"}, stale
    built.is_as_before()


def test_a_downloaded_file_of_other_bytes(ngsim: Ngsim, tmp_path: Path) -> None:
    fetched = tmp_path / "fetched"
    fetched.write_bytes(b"rows\n" * 99)
    kept = DownloadStore(ngsim.data / "downloads").keep(fetched, "rows.csv").path
    ngsim("verify")
    kept.chmod(0o644)
    kept.write_bytes(b"rows\n" * 98 + b"cows\n")
    line = _verified(ngsim, kept)
    (told,) = re.findall(r"rm -r ([^\s;]+); run the ngsim download", line)
    shutil.rmtree(told)
    ngsim("verify")
