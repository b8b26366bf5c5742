"""Gzip and zip: what is read out of them, and every reason not to."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ngsim_assets.highway import errors
from ngsim_assets.highway.reading import archives
from ngsim_assets.highway.reading.archives import ArchiveLimits
from ngsim_assets.highway.source import SourceMember, members, read_batches, survey

HEADER = b"Vehicle_ID,Frame_ID,Global_Time,Local_X,Local_Y\n"
ROW = b"2,13,1118846980200,16.467,35.381\n"
CSV = HEADER + ROW * 3
TEXT = b"2 13 437 1118846980200 16.467 35.381 6451137.641 1873344.962 14.5 4.9 2 40 0 2 0 0 0 0\r\n"
RECONSTRUCTED = b"Vehicle_ID,Frame_ID,Lane_ID,LocalY,Mean_Speed,Mean_Accel\n1,2,3,4,5,6\n"


def zipped(content: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read(member: SourceMember) -> pl.DataFrame:
    return pl.concat(list(read_batches(member)))


def test_gzip_is_read_whatever_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "trajectories.txt", gzip.compress(CSV) + gzip.compress(ROW))
    seen: list[bytes] = []
    (member,) = members(path)
    batches = read_batches(member, on_bytes=lambda view: seen.append(bytes(view)))
    assert pl.concat(batches).height == 4
    assert b"".join(seen) == CSV + ROW
    assert member.name == "trajectories.txt"


def test_zip_gives_every_member_with_rows_and_says_why_not_of_the_others(tmp_path: Path) -> None:
    path = write(
        tmp_path / "I-80.zip",
        zipped(
            {
                "data/": b"",
                "data/0400pm.txt": TEXT * 2,
                "data/0400pm.csv": CSV,
                "data/RECONSTRUCTED trajectories-400-0415_NO MOTORCYCLES.csv": RECONSTRUCTED,
                "data/ruined.csv": CSV.replace(b"1118846980200", b"1.11885E+12"),
                "report.pdf": b"%PDF-1.4",
                "readme.txt": b"The data of I-80.\n",
                "empty": b"",
            }
        ),
    )
    found = survey(path)
    assert [member.name for member in found.members] == [
        "I-80.zip!data/0400pm.txt",
        "I-80.zip!data/0400pm.csv",
    ]
    assert [read(member).height for member in found.members] == [2, 3]
    assert {
        each.name.split("/")[-1].split("!")[-1]: type(each.error) for each in found.ignored
    } == {
        "RECONSTRUCTED trajectories-400-0415_NO MOTORCYCLES.csv": errors.MetricReconstruction,
        "ruined.csv": errors.RuinedClock,
        "report.pdf": errors.NotNgsim,
        "readme.txt": errors.NotNgsim,
        "empty": errors.EmptySource,
    }
    assert found.members[0].source == f"{path}!data/0400pm.txt"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_zip_inside_the_official_zips_is_read_and_no_deeper_one(
    tmp_path: Path, method: int
) -> None:
    inner = zipped({"0750am/a.txt": TEXT, "0805am/b.txt": TEXT * 2, "more.zip": zipped({"x": CSV})})
    content = {"readme.txt": b"hello\n", "us-101-vehicle-trajectory-data.zip": inner, "c.csv": CSV}
    path = write(tmp_path / "US-101.zip", zipped(content, method))
    found = survey(path)
    assert [member.member for member in found.members] == [
        "us-101-vehicle-trajectory-data.zip!0750am/a.txt",
        "us-101-vehicle-trajectory-data.zip!0805am/b.txt",
        "c.csv",
    ]
    assert [read(member).height for member in found.members] == [1, 2, 3]
    refused = {each.name: str(each.error) for each in found.ignored}
    assert "a zip archive" in refused["US-101.zip!us-101-vehicle-trajectory-data.zip!more.zip"]


def test_progress_in_a_zip_is_of_the_member(tmp_path: Path) -> None:
    (member,) = members(write(tmp_path / "a.zip", zipped({"a.csv": HEADER + ROW * 50_000})))
    progress: list[tuple[int, int]] = []
    batches = read_batches(member, on_progress=lambda *at: progress.append(at), chunk_bytes=300_000)
    assert sum(batch.height for batch in batches) == 50_000
    size = len(HEADER) + 50_000 * len(ROW)
    assert progress[-1] == (size, size)


def test_archive_without_data_says_what_is_in_it(tmp_path: Path) -> None:
    path = write(tmp_path / "docs.zip", zipped({"a.pdf": b"%PDF", "b.html": b"<html>"}))
    with pytest.raises(errors.NoDataInArchive) as refusal:
        members(path)
    assert "a.pdf: is not NGSIM trajectory data: a PDF document; " in str(refusal.value)
    assert [name for name, _ in refusal.value.ignored] == ["docs.zip!a.pdf", "docs.zip!b.html"]
    with pytest.raises(errors.NoDataInArchive):
        members(write(tmp_path / "empty.zip", zipped({})))


def test_the_only_candidate_of_an_archive_gives_its_own_reason(tmp_path: Path) -> None:
    content = {"readme": b"hello\n", "a.csv": CSV.replace(b"Frame_ID", b"Frame")}
    with pytest.raises(errors.MissingFrameId, match=r"a\.zip!a\.csv: has no Frame_ID"):
        members(write(tmp_path / "a.zip", zipped(content)))


def test_an_excel_workbook_is_called_one(tmp_path: Path) -> None:
    book = zipped({"[Content_Types].xml": b"<x/>", "xl/worksheets/sheet1.xml": b"<x/>"})
    with pytest.raises(errors.NotNgsim, match="an Excel workbook"):
        members(write(tmp_path / "trajectories.csv", book))
    path = write(tmp_path / "a.zip", zipped({"book.xlsx": book, "a.csv": CSV}))
    assert [each.name for each in survey(path).ignored] == ["a.zip!book.xlsx"]


@pytest.mark.parametrize(
    "name", ["../a.csv", "/etc/a.csv", "a/../../b.csv", "C:\\a.csv", "..\\a.csv", "\\\\host\\a.csv"]
)
def test_path_traversal(tmp_path: Path, name: str) -> None:
    with pytest.raises(errors.UnsafeArchive, match="leads outside the archive"):
        members(write(tmp_path / "a.zip", zipped({"a.csv": CSV, name: CSV})))


def test_encrypted_members(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.csv": CSV}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    with pytest.raises(errors.EncryptedArchive, match=r"'a\.csv' is encrypted"):
        members(write(tmp_path / "a.zip", bytes(content)))


def test_links_in_a_zip_are_not_members(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("link.csv")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("a.csv", CSV)
    assert len(members(write(tmp_path / "a.zip", buffer.getvalue()))) == 1


def test_zip_bombs(tmp_path: Path) -> None:
    bomb = zipped({"a.csv": CSV, "bomb.csv": bytes(40_000_000)})
    with pytest.raises(errors.ArchiveBomb, match=r"'bomb\.csv' expands 38,\d{3} to 40,000,000"):
        members(write(tmp_path / "a.zip", bomb))
    with pytest.raises(errors.ArchiveBomb, match="bomb"):
        members(write(tmp_path / "b.zip", zipped({"inner.zip": bomb})))
    path = write(tmp_path / "c.zip", zipped({f"{i}": b"" for i in range(30)}))
    with pytest.raises(errors.ArchiveBomb, match="30 members"):
        list(archives.walk(path, 10, ArchiveLimits(members=29)))
    path = write(tmp_path / "d.zip", zipped({"a": bytes(600), "b": bytes(600)}))
    with pytest.raises(errors.ArchiveBomb, match="more than 1,000 bytes"):
        list(archives.walk(path, 10, ArchiveLimits(total_bytes=1_000)))


def test_a_zip_that_lies_about_a_size_is_damaged(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.csv": CSV + ROW * 100_000}))
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = struct.pack("<I", 5_000)
    with pytest.raises(
        errors.CorruptArchive, match=r"a\.zip!a\.csv: is truncated or damaged: Bad CRC"
    ):
        members(write(tmp_path / "a.zip", bytes(content)))


def test_a_damaged_member_does_not_stop_the_others(tmp_path: Path) -> None:
    content = bytearray(zipped({"a.csv": CSV, "b.csv": CSV, "c.zip": zipped({"d": CSV})}))
    for name in (b"a.csv", b"c.zip"):
        data = content.index(name) + len(name)
        content[data : data + 4] = b"junk"
    found = survey(write(tmp_path / "a.zip", bytes(content)))
    assert [member.member for member in found.members] == ["b.csv"]
    assert {type(each.error) for each in found.ignored} == {errors.CorruptArchive}


def test_gzip_bomb(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gz", gzip.compress(CSV + b"\n" * 40_000_000))
    with pytest.raises(errors.ArchiveBomb, match="expands more than 200 times"):
        read(SourceMember(path))
    with (
        archives.open_gzip(path, ArchiveLimits(total_bytes=1_000)) as stream,
        pytest.raises(errors.ArchiveBomb, match="more than 1,000 bytes"),
    ):
        stream.readall()


def test_truncated_and_damaged_gzip(tmp_path: Path) -> None:
    whole = gzip.compress(
        HEADER + b"".join(b"%d,13,1118846980200,1.5,2\n" % i for i in range(200_000))
    )
    path = write(tmp_path / "a.gz", whole[: len(whole) // 2])
    batches = read_batches(SourceMember(path), batch_rows=1_000, chunk_bytes=10_000)
    assert next(batches).height == 1_000
    with pytest.raises(errors.CorruptArchive, match="truncated or damaged"):
        list(batches)
    damaged = bytearray(whole)
    damaged[-8] ^= 0xFF
    with pytest.raises(errors.CorruptArchive, match="CRC"):
        read(SourceMember(write(tmp_path / "b.gz", bytes(damaged))))


def test_truncated_zip(tmp_path: Path) -> None:
    whole = zipped({"a.csv": CSV})
    with pytest.raises(errors.CorruptArchive, match="not a zip file"):
        members(write(tmp_path / "a.zip", whole[:-30]))


def test_an_archive_inside_gzip_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(errors.NotNgsim, match="a zip archive"):
        members(write(tmp_path / "a.gz", gzip.compress(zipped({"a.csv": CSV}))))
    with pytest.raises(errors.NotNgsim, match="gzip-compressed"):
        members(write(tmp_path / "b.gz", gzip.compress(gzip.compress(CSV))))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_damage_anywhere_is_rows_or_a_typed_error(tmp_path: Path, data: st.DataObject) -> None:
    whole = data.draw(
        st.sampled_from(
            (
                zipped({"a.csv": CSV, "b": b"%PDF"}),
                zipped({"a.csv": CSV}, zipfile.ZIP_LZMA),
                zipped({"a.csv": CSV}, zipfile.ZIP_BZIP2),
                zipped({"i.zip": zipped({"a": CSV})}),
                gzip.compress(CSV),
            )
        )
    )
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = write(tmp_path / "a", bytes(content[: data.draw(st.integers(1, len(content)))]))
    with suppress(errors.SourceError):
        for member in members(path):
            read(member)
