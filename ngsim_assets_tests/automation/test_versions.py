"""Data versions as earlier releases told them to Dagster: they are compared with those of now."""

from __future__ import annotations

from ngsim_assets.automation.versions import (
    NOTHING,
    DataVersion,
    combined,
    content_of,
    origin_of,
    recipe_of,
)


def test_versions_on_record_stay_what_they_are() -> None:
    assert NOTHING == "2abacf779ff30f03d97711c56baacce6"
    assert content_of(["x", "y"]) == "9ab9de25768ac172235e"
    assert recipe_of("1", {}) == "1"
    assert recipe_of("1", {"b": 2, "a": 1}) == "1 d8497d9d82770a707292"
    assert origin_of("1 ab", {"b": "2", "a": "1"}) == "bc5b4cb3ad240f456060"
    assert combined({"y": "2", "x": "1"}) == "fd7ba212bd8bd319c476"


def test_a_version_is_read_as_it_was_written() -> None:
    for version in (
        DataVersion("rows"),
        DataVersion("rows", "origin"),
        DataVersion("rows", "origin", "restored3"),
    ):
        assert DataVersion.parse(str(version)) == version
