"""Which members of an archive are handed over, and under which names."""

from __future__ import annotations

from pathlib import Path

import pytest

from ngsim_assets.acquisition.objects import require_file_name
from ngsim_assets.highway.errors import CorruptArchive, NoDataInArchive
from ngsim_assets.highway.official.members import choose, rows_of, unpack
from ngsim_assets_tests.highway.deliveries import rows
from ngsim_assets_tests.highway.official.portal import print_rows, zipped

TEXT = print_rows(rows(), "text")
TABLE = print_rows(rows(), "csv")


def archive(folder: Path, members: dict[str, bytes]) -> Path:
    path = folder / "archive.zip"
    path.write_bytes(zipped(members))
    return path


def names(folder: Path, members: dict[str, bytes]) -> list[str]:
    return [chosen.name for chosen in choose(archive(folder, members)).chosen]


def test_the_text_of_a_period_stands_for_its_csv(tmp_path: Path) -> None:
    members = {"a/One.csv": TABLE, "a/one.TXT": TEXT, "b/one.csv": TABLE, "two.csv": TABLE}
    assert names(tmp_path, members) == ["one.TXT", "one.csv", "two.csv"]
    inner = {"inner.zip": zipped({"one.csv": TABLE, "one.txt": TEXT}), "other.csv": TABLE}
    assert names(tmp_path, inner) == ["one.txt", "other.csv"]


def test_equal_names_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    members = {"0750/rows.txt": TEXT, "0805/rows.txt": TEXT, "x/0805/ROWS.TXT": TEXT}
    assert names(tmp_path, members) == ["rows.txt", "0805-rows.txt", "x-0805-ROWS.TXT"]


def test_every_name_is_one_that_a_file_can_have(tmp_path: Path) -> None:
    members = {
        "a\\..txt": TEXT,
        ".hidden.txt": TEXT,
        "line\nfeed\x1b[31m.txt": TEXT,
        "n" * 250 + ".txt": TEXT,
        "\N{GREEK SMALL LETTER ALPHA}.txt": TEXT,
    }
    found = names(tmp_path, members)
    assert len(set(found)) == len(members)
    for name in found:
        require_file_name(name)


def test_a_member_is_unpacked_as_it_is(tmp_path: Path) -> None:
    path = archive(tmp_path, {"inner.zip": zipped({"rows.txt": TEXT}), "rows.csv": TABLE})
    for chosen, content in zip(choose(path).chosen, (TEXT, TABLE), strict=True):
        lines = unpack(chosen.member, tmp_path / "unpacked")
        assert (tmp_path / "unpacked").read_bytes() == content
        assert rows_of(lines) == 120


def test_damage_is_told_where_it_is_met(tmp_path: Path) -> None:
    path = archive(tmp_path, {"rows.txt": TEXT * 50})
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 0xFF
    path.write_bytes(body)
    (chosen,) = choose(path).chosen
    with pytest.raises(CorruptArchive, match=r"archive\.zip!rows\.txt"):
        unpack(chosen.member, tmp_path / "unpacked")


def test_an_archive_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoDataInArchive, match=r"readme\.txt"):
        choose(archive(tmp_path, {"readme.txt": b"Read me.\n"}))
