"""Files are whole or absent, and refusals of the operating system have names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ngsim_assets.storage.atomic import write_atomically
from ngsim_assets.storage.errors import DiskFull, ReadOnlyLake, writing


def test_writes_bytes_and_text_into_new_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "report.json"
    write_atomically(path, "größer")
    assert path.read_bytes() == "größer".encode()
    write_atomically(path, b"\x00\x01")
    assert path.read_bytes() == b"\x00\x01"
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]


def test_a_file_in_the_way_of_the_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file")
    with pytest.raises(ReadOnlyLake, match="NGSIM_DATA"):
        write_atomically(tmp_path / "lake" / "report.json", b"")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_reported(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(ReadOnlyLake, match="write permission"):
        write_atomically(tmp_path / "report.json", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_reported(tmp_path: Path) -> None:
    target = tmp_path / "part.parquet"
    with (
        pytest.raises(DiskFull, match=r"no space left .*part\.parquet; what was there"),
        writing(target),
        Path("/dev/full").open("wb", buffering=0) as file,
    ):
        file.write(b"rows")
