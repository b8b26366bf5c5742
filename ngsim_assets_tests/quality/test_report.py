"""The report is one honest document: nothing lost, nothing injected, nothing from outside."""

from __future__ import annotations

import json
import re
import struct
import zlib
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ngsim_assets.quality.rating import Criterion, rate
from ngsim_assets.quality.report import (
    DataQualityReport,
    Figure,
    Limit,
    Measurement,
    Metric,
    Origin,
    ReferenceTable,
    RuleCount,
    Section,
    SourceFile,
    report_schema,
)
from ngsim_assets.quality.writing import format_value, setting_text
from ngsim_assets_tests.quality.json_schema import faults

HOSTILE = "<script>alert('1')</script> & \"quoted\" | `code` *bold* [x](http://evil.example)"


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixel = zlib.compress(b"\0\xff")
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixel) + chunk(b"IEND", b"")
    )


def _classes(text: str) -> list[Metric]:
    """A distribution of three classes, the middle one empty."""
    return [
        Metric(
            name=f"class_{place}",
            title=f"Class {place}",
            unit="gaps",
            definition=text,
            distribution="class_",
            raw=Measurement(value=float(count)),
        )
        for place, count in enumerate((8, 0, 2))
    ]


def _report(text: str = "plain", **changes: object) -> DataQualityReport:
    limit = Limit(threshold=1.0, relation="at most", basis=f"basis {text}")
    metrics = (
        Metric(
            name="inside",
            title=f"Inside {text}",
            unit="%",
            definition=f"definition {text}",
            source=f"source {text}",
            limit=limit,
            raw=Measurement(value=17.4),
            cleaned=Measurement(value=0.5, passed=True),
        ),
        Metric(
            name="outside",
            title=f"Outside {text}",
            unit="m",
            definition="d",
            limit=limit,
            cleaned=Measurement(value=1.5, passed=False),
        ),
        Metric(name="bare", title="Bare", unit="", definition="d", raw=Measurement(value=None)),
    )
    criteria = [
        Criterion(metric=name, weight=1, full=0.0, none=10.0, why=f"why {text}", source=text)
        for name in ("inside", "bare", "unheard-of")
    ]
    values: dict[str, object] = {
        "ratings": (
            rate(criteria[1:], {"bare": None}, "raw", f"Raw {text}"),
            rate(criteria, {"inside": 0.5, "unheard-of": 3.0}, "cleaned", f"Cleaned {text}"),
        ),
        "title": f"Title {text}",
        "subtitle": f"Subtitle {text}",
        "partition": {f"label {text}": f"value {text}"},
        "summary": f"Summary {text}",
        "sections": (
            Section(name="one", title=f"One {text}", introduction=text, metrics=metrics[:2]),
            Section(name="two", title="Two", metrics=(*metrics[2:], *_classes(text))),
        ),
        "rules": (
            RuleCount(rule="lost", severity="reject", rows=12345, description=text, source=text),
            RuleCount(rule="odd", severity="flag", rows=0),
        ),
        "references": (
            ReferenceTable(title=text, caption=text, columns=("a", text), rows=((text, "b"),)),
        ),
        "figures": (
            Figure(
                name="dot",
                title=text,
                alt=f"A dot {text}",
                caption=text,
                media_type="image/png",
                data=_png(),
            ),
        ),
        "origin": Origin(
            run_id=text,
            code_version="1",
            parameters={"limit": 2.5, f"of {text}": [text], "nested": {text: 1}},
            sources=(SourceFile(name=text, sha256="ab" * 32),),
        ),
    }
    return DataQualityReport.model_validate(values | changes)


class _Page(HTMLParser):
    """What a browser would find in the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def attributes(self, name: str) -> list[str]:
        return [value for _, found in self.tags if (value := found.get(name)) is not None]


def test_json_round_trip_keeps_everything() -> None:
    report = _report(HOSTILE)
    assert DataQualityReport.model_validate_json(report.to_json(figures=True)) == report


def test_json_without_pictures_says_what_they_were() -> None:
    back = DataQualityReport.model_validate_json(_report().to_json())
    assert back.figures[0].data == b""
    assert back.figures[0].alt == "A dot plain"


def test_json_follows_the_published_schema() -> None:
    schema = json.loads(report_schema())
    assert {"failed", "judged", "ratings", "sections", "origin"} <= set(schema["properties"])
    for report in (_report(), _report(HOSTILE), _report(sections=(), ratings=(), figures=())):
        for text in (report.to_json(), report.to_json(figures=True)):
            assert faults(json.loads(text), schema, schema) == []


def test_the_published_schema_refuses_what_is_no_report() -> None:
    schema = json.loads(report_schema())
    document = json.loads(_report().to_json())
    assert faults(document | {"colour": "red"}, schema, schema)
    assert faults({k: v for k, v in document.items() if k != "title"}, schema, schema)
    document["sections"][0]["metrics"][0]["raw"]["value"] = "much"
    assert faults(document, schema, schema)


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="extra"):
        _report(colour="red")


def test_html_needs_nothing_from_outside() -> None:
    text = _report().to_html()
    page = _Page(text)
    assert "link" not in [tag for tag, _ in page.tags]
    assert "script" not in [tag for tag, _ in page.tags]
    assert all(source.startswith("data:image/png;base64,") for source in page.attributes("src"))
    assert all(target.startswith("#") for target in page.attributes("href"))
    assert "@import" not in text
    assert "url(" not in text


def test_html_is_well_formed_and_its_links_arrive() -> None:
    page = _Page(_report().to_html())
    assert page.open == []
    names = page.attributes("id")
    assert len(names) == len(set(names))
    assert {target[1:] for target in page.attributes("href")} <= set(names)
    labels = page.attributes("aria-labelledby")
    assert set(labels) <= set(names)


def test_html_can_be_read_without_seeing() -> None:
    page = _Page(_report().to_html())
    assert ("html", {"lang": "en"}) in page.tags
    pictures = [found for tag, found in page.tags if tag == "img"]
    assert pictures
    assert all(found.get("alt") for found in pictures)
    levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    heads = [found for tag, found in page.tags if tag == "th"]
    assert all(found.get("scope") in ("col", "row") for found in heads)


def test_html_escapes_whatever_it_is_given() -> None:
    page = _Page(_report(HOSTILE).to_html())
    assert "script" not in [tag for tag, _ in page.tags]
    assert any("<script>alert('1')</script>" in words for words in page.words)
    assert all(not target.startswith("http") for target in page.attributes("href"))


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40))
def test_html_has_the_same_structure_for_any_text(text: str) -> None:
    plain, odd = _Page(_report().to_html()), _Page(_report(text or "x").to_html())
    shape = [tag for tag, _ in plain.tags if tag != "p"]
    assert [tag for tag, _ in odd.tags if tag != "p"] == shape


def test_equal_reports_give_equal_bytes() -> None:
    assert _report().to_html() == _report().to_html()
    assert _report().to_json() == _report().to_json()
    assert _report().to_markdown() == _report().to_markdown()


def test_time_is_shown_only_where_it_is_given() -> None:
    moment = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    origin = Origin(run_id="r", code_version="1", generated_at=moment)
    assert "Generated" not in _report().to_html()
    assert moment.isoformat() in _report(origin=origin).to_html()


def test_the_make_up_of_the_score_is_shown() -> None:
    report = _report()
    text = " ".join(" ".join(_Page(report.to_html()).words).split())
    assert "Score of 100: cleaned plain 82.5." in text
    assert "too little was measured: 0 % of the weight" in text
    assert "47.5 of 50.0" in text
    assert "All points at 0 , none at 10" in text
    assert "Cleaned plain 82.5" not in report.verdict
    page = report.to_markdown()
    assert "| Inside plain | – | 47.5 of 50.0 |" in page
    assert "| **Score** | – | **82.5** of 100 |" in page


def test_nothing_to_rate_is_no_good_news() -> None:
    criterion = Criterion(metric="m", weight=1, full=0.0, none=1.0, why="w", source="s")
    report = _report(sections=(), ratings=(rate([criterion], {}, "cleaned"),))
    assert report.scores == "No score: too little was measured."
    assert 'class="summary outside"' in report.to_html()
    assert _report(sections=(), ratings=()).scores == ""


def test_classes_of_a_distribution_are_bars_on_one_scale() -> None:
    found = re.findall(
        r'<i style="width: ([0-9.]+)%">', _report().to_html().split("section-two")[2]
    )
    assert found == ["100.0", "0.0", "25.0"]


def test_what_found_nothing_to_measure_is_named_beside_the_table() -> None:
    html = _report().to_html()
    assert "Nothing to measure for:" in html
    assert 'id="metric-bare"' not in html
    assert 'id="definition-bare"' in html


def test_verdict_counts_limits_and_names_what_is_outside() -> None:
    report = _report()
    assert report.failed == ("outside",)
    assert report.judged == 2
    assert report.verdict == "1 of 2 limits kept."
    assert 'href="#metric-outside"' in report.to_html()


def test_nothing_to_judge_is_not_a_success() -> None:
    assert _report(sections=()).verdict == "No metric has a limit to keep."


def test_markdown_tables_stay_tables() -> None:
    lines = _report(HOSTILE).to_markdown().splitlines()
    for table in _tables(lines):
        assert len({_cells(line) for line in table}) == 1
    assert not any("<script>" in line for line in lines)
    assert not any(re.search(r"(?<!\\)\]\(http", line) for line in lines)


def test_markdown_embeds_only_the_pictures_asked_for() -> None:
    report = _report()
    assert "data:image" not in report.to_markdown()
    assert report.figures[0].uri in report.to_markdown(figures=["dot"])


def _tables(lines: list[str]) -> list[list[str]]:
    tables: list[list[str]] = []
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("|"):
            if before.startswith("|"):
                tables[-1].append(line)
            else:
                tables.append([line])
    return tables


def _cells(line: str) -> int:
    return line.replace("\\|", "").count("|")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "m", "–"),
        (float("nan"), "m", "–"),
        (float("inf"), "m", "∞"),
        (0.0, "%", "0"),
        (1180598.0, "rows", "1,180,598"),
        (36.0, "trajectories", "36"),
        (15.0, "m/s³", "15"),
        (15.0001, "m/s³", "15.00"),
        (-0.00441, "%", "−0.0044"),
        (0.0008753, "m", "0.00088"),
        (0.8024, "m/s", "0.802"),
        (0.16, "%", "0.16"),
        (100.0, "%", "100"),
        (99.999, "%", "100.00"),
        (4.7, "s", "4.7"),
        (555.639, "veh/h", "555.6"),
        (2400.0, "veh/h", "2,400"),
        (1.25e-7, "m", "1.2×10⁻⁷"),
    ],
)
def test_values_are_written_for_people(value: float | None, unit: str, text: str) -> None:
    assert format_value(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"),
        (True, "yes"),
        (0.25, "0.25"),
        (-9.0, "−9"),
        (
            {"filter": "smooth", "limits": {"jerk": 15.0, "one_way": False}},
            "filter smooth, limits jerk 15, one_way no",
        ),
        ([1, "a", None], "1, a, none"),
    ],
)
def test_parameters_are_written_for_people(value: object, text: str) -> None:
    assert setting_text(value) == text


def test_steps_among_parameters_stand_one_below_the_other() -> None:
    steps = [{"filter": "dedupe"}, {"filter": "impute", "gap": 2.0}]
    origin = Origin(run_id="r", code_version="1", parameters={"cleaning": {"steps": steps}})
    page = _report(origin=origin).to_html()
    assert "<li>filter dedupe</li>\n<li>filter impute, gap 2</li>" in page


@given(st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
def test_written_values_are_close_to_what_they_say(value: float) -> None:
    plain = str.maketrans("−⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789", ",")
    written = format_value(value, "m").translate(plain).replace("×10", "e")
    assert float(written) == pytest.approx(value, rel=0.05, abs=1e-300)


@pytest.mark.parametrize(
    ("relation", "value", "kept"),
    [
        ("at most", 1.0, True),
        ("at most", -5.0, True),
        ("at most", 1.1, False),
        ("at least", 1.0, True),
        ("at least", 0.9, False),
        ("within", -1.0, True),
        ("within", -1.1, False),
    ],
)
def test_limits(relation: str, value: float, kept: bool) -> None:
    limit = Limit.model_validate({"threshold": 1.0, "relation": relation, "basis": "b"})
    assert limit.keeps(value) is kept
