"""Downloads in the incoming folder: whole, once, and the user's from then on."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ngsim_assets.acquisition.sources import Artifact, Resource
from ngsim_assets.acquisition.store import DownloadStore
from ngsim_assets.highway import incoming
from ngsim_assets.highway.intake import Intake, Rejected
from ngsim_assets.highway.official.handing_over import IncomingMissing, hand_over
from ngsim_assets.highway.stages import open_platform
from ngsim_assets.settings import Settings, load_settings
from ngsim_assets_tests.highway.deliveries import EARLY, rows
from ngsim_assets_tests.highway.official.portal import print_rows

RESOURCE = Resource("ngsim", "us-101/zip", "http://portal/", {"highway": "us-101"})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(data=tmp_path / "data", settle=0)


def kept(settings: Settings, body: bytes, name: str = "early.txt") -> Artifact:
    """A file in the store of downloads, read-only as all of them are."""
    made = settings.data / "made"
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_bytes(body)
    stored = DownloadStore(settings.downloads).keep(made, name)
    return Artifact(
        RESOURCE, name, stored.path, stored.sha256, stored.bytes, RESOURCE.url, datetime.now(UTC)
    )


def taken(settings: Settings) -> Iterator[Intake | Rejected]:
    for result in incoming.load(open_platform(settings), settings):
        if isinstance(result, Intake | Rejected):
            yield result


def good(seed: int = 0) -> bytes:
    return print_rows(rows(seed=seed), "text")


def test_a_file_is_linked_and_taken_in_and_not_handed_over_again(settings: Settings) -> None:
    artifact = kept(settings, good())
    (handed,) = hand_over(settings, [artifact])
    assert handed.new
    assert handed.path == settings.incoming_folder / "downloads" / "us-101" / "early.txt"
    assert handed.path.samefile(artifact.path)
    assert handed.path.stat().st_mode & 0o777 == 0o444
    (result,) = taken(settings)
    assert isinstance(result, Intake)
    assert result.partitions == {str(EARLY): 120}
    assert [item.new for item in hand_over(settings, [artifact])] == [False]
    handed.path.unlink()
    assert [item.new for item in hand_over(settings, [artifact])] == [False]
    assert not handed.path.exists()
    assert [item.new for item in hand_over(settings, [artifact], again=True)] == [True]
    assert [result.changed for result in taken(settings) if isinstance(result, Intake)] == [False]
    assert [path.name for path in handed.path.parent.iterdir()] == ["early.txt"]


def test_other_content_takes_the_place_of_the_earlier_one(settings: Settings) -> None:
    first, second = kept(settings, good()), kept(settings, good(seed=1))
    hand_over(settings, [first])
    list(taken(settings))
    assert [item.new for item in hand_over(settings, [second])] == [True]
    (result,) = taken(settings)
    assert isinstance(result, Intake)
    assert result.changed
    assert first.path.read_bytes() == good()
    assert [item.new for item in hand_over(settings, [first])] == [True], "it came back"


def test_a_refused_file_moves_aside_and_stays_there(settings: Settings) -> None:
    artifact = kept(settings, b"no trajectories at all\n")
    (handed,) = hand_over(settings, [artifact])
    (result,) = taken(settings)
    assert isinstance(result, Rejected)
    assert result.aside == settings.rejected / "downloads" / "us-101" / "early.txt"
    assert result.aside.samefile(artifact.path)
    assert not handed.path.exists()
    assert [item.new for item in hand_over(settings, [artifact])] == [False]
    assert DownloadStore(settings.downloads).verify() == []
    hand_over(settings, [artifact], again=True)
    assert handed.path.samefile(artifact.path)


def test_what_the_store_gives_up_stays_with_who_was_handed_it(settings: Settings) -> None:
    artifact = kept(settings, good())
    (handed,) = hand_over(settings, [artifact])
    list(taken(settings))
    swept = DownloadStore(settings.downloads).sweep(unnamed_for=-60)
    assert artifact.path in swept.paths
    assert handed.path.read_bytes() == good()
    assert [item.changed for item in taken(settings) if isinstance(item, Intake)] == [False]


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK])
def test_where_no_link_can_be_made_a_copy_is(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    artifact = kept(settings, good())
    monkeypatch.setattr(os, "link", refuse)
    (handed,) = hand_over(settings, [artifact])
    assert handed.path.read_bytes() == good()
    assert not handed.path.samefile(artifact.path)


def test_archives_stay_in_the_store(settings: Settings) -> None:
    assert hand_over(settings, [kept(settings, b"PK", "US-101.zip")]) == []
    assert not settings.incoming_folder.exists()


def test_a_folder_that_is_not_mounted_is_not_made(settings: Settings, tmp_path: Path) -> None:
    elsewhere = settings.model_copy(update={"incoming": tmp_path / "mounted"})
    artifact = kept(settings, good())
    with pytest.raises(IncomingMissing, match="mount or create it"):
        hand_over(elsewhere, [artifact])
    (tmp_path / "mounted").mkdir()
    assert [item.new for item in hand_over(elsewhere, [artifact])] == [True]
