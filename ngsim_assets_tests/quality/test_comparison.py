"""Two sides of a comparison: differences, which is better, and documents that say so."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngsim_assets.quality.comparison import (
    Better,
    ComparedSection,
    Comparison,
    Side,
    better_by,
    compare_metric,
    comparison_schema,
)
from ngsim_assets.quality.report import Figure, Limit, Measurement
from ngsim_assets_tests.quality.json_schema import faults

HOSTILE = "<script>alert('1')</script> | `code` *bold* [x](http://evil.example)"


def _measured(value: float | None, passed: bool | None = None) -> Measurement:
    return Measurement(value=value, passed=passed)


def _comparison(text: str = "plain", *, pictures: bool = True) -> Comparison:
    picture = Figure(
        name="dot", title=text, alt=text, caption=text, media_type="image/png", data=b"png"
    )
    only_old = picture.model_copy(update={"name": "old"})
    reference = Side(
        label=f"old {text}",
        partition={"highway": "a"},
        version=3,
        facts={"gap": "2.0", "code": "1", text: "same", "gone": "x"},
        figures=(picture, only_old) if pictures else (),
    )
    subject = Side(
        label=f"new {text}",
        partition={"highway": "a"},
        version=5,
        facts={"gap": "0.5", "code": "1", text: "same"},
        figures=(picture,) if pictures else (),
        remark="" if pictures else "no pictures",
    )
    metrics = (
        compare_metric(
            "jerk",
            "cleaned",
            _measured(0.2, False),
            _measured(0.1, True),
            title=f"Jerk {text}",
            unit="%",
            definition=text,
            better="lower",
        ),
        compare_metric("rows", "raw", _measured(10), _measured(12), unit="rows"),
        compare_metric("gone", "raw", _measured(1.0), None),
    )
    return Comparison(
        title=f"Title {text}",
        reference=reference,
        subject=subject,
        sections=(ComparedSection(name="one", title=f"One {text}", metrics=metrics),),
    )


@pytest.mark.parametrize(
    ("before", "after", "better", "outcome"),
    [
        (2.0, 1.0, "lower", "better"),
        (2.0, 1.0, "higher", "worse"),
        (2.0, 2.0, "lower", "same"),
        (-0.5, 0.1, "nearer zero", "better"),
        (0.1, -0.5, "nearer zero", "worse"),
        (0.5, -0.5, "nearer zero", "same"),
        (2.0, 1.0, None, "different"),
        (None, 1.0, "lower", "not comparable"),
        (1.0, float("nan"), "lower", "not comparable"),
    ],
)
def test_which_is_better(
    before: float | None, after: float | None, better: Better | None, outcome: str
) -> None:
    found = compare_metric("m", "s", _measured(before), _measured(after), better=better)
    assert found.outcome == outcome


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.sampled_from(["lower", "higher"]))
def test_the_other_way_round_is_the_opposite(a: float, b: float, better: Better) -> None:
    there = compare_metric("m", "s", _measured(a), _measured(b), better=better)
    back = compare_metric("m", "s", _measured(b), _measured(a), better=better)
    opposite = {"better": "worse", "worse": "better", "same": "same"}
    assert back.outcome == opposite[there.outcome]
    assert there.difference is not None
    assert back.difference == -there.difference


@pytest.mark.parametrize(
    ("relation", "better"),
    [("at most", "lower"), ("at least", "higher"), ("within", "nearer zero")],
)
def test_limits_say_which_is_better(relation: str, better: str) -> None:
    limit = Limit.model_validate({"threshold": 1.0, "relation": relation, "basis": "b"})
    assert better_by(limit) == better
    assert better_by(None) is None


@pytest.mark.parametrize(
    ("was", "now", "verdict"),
    [
        (False, True, "now kept"),
        (True, False, "now outside"),
        (True, True, ""),
        (None, False, ""),
        (False, None, ""),
    ],
)
def test_verdicts_that_changed(was: bool | None, now: bool | None, verdict: str) -> None:
    found = compare_metric("m", "s", _measured(1.0, was), _measured(1.0, now))
    assert found.verdict == verdict


def test_what_they_were_made_with_is_listed_where_it_differs() -> None:
    differences = {d.name: (d.reference, d.subject) for d in _comparison().differences}
    assert differences == {"gap": ("2.0", "0.5"), "gone": ("x", "")}


def test_the_summary_counts_and_names() -> None:
    summary = _comparison().summary
    assert "1 better, 0 worse and 0 the same" in summary
    assert "1 differ without a better or worse" in summary
    assert summary.endswith("Now kept: Jerk plain.")


def test_json_reads_back_and_has_no_pictures() -> None:
    document = json.loads(_comparison(HOSTILE).to_json())
    assert document["summary"]
    assert document["differences"][0]["name"] == "gap"
    assert "data" not in document["subject"]["figures"][0]
    back = Comparison.model_validate(document)
    assert back.metrics == _comparison(HOSTILE).metrics
    assert back.to_json() == _comparison(HOSTILE).to_json()


def test_json_follows_the_published_schema() -> None:
    schema = json.loads(comparison_schema())
    document = json.loads(_comparison(HOSTILE).to_json())
    assert faults(document, schema, schema) == []
    assert faults(document | {"colour": "red"}, schema, schema)


@pytest.mark.parametrize("pictures", [True, False])
def test_html_needs_nothing_from_outside_and_escapes(pictures: bool) -> None:
    html = _comparison(HOSTILE, pictures=pictures).to_html()
    assert "<script" not in html
    assert 'href="http' not in html
    assert "url(" not in html
    assert html.count("<img") == (3 if pictures else 0)
    assert html.count("<table") == html.count("</table>") == 2
    assert "+2" in html
    assert ("no pictures" in html) is not pictures


def test_links_of_the_page_arrive() -> None:
    html = _comparison().to_html()
    names = re.findall(r' id="([^"]+)"', html)
    assert len(names) == len(set(names))
    targets = re.findall(r'href="#([^"]+)"', html)
    assert "cleaned-jerk" in targets
    assert set(targets) <= set(names)


def test_markdown_tables_stay_tables() -> None:
    lines = _comparison(HOSTILE).to_markdown().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {4, 8}
    assert not any("<script>" in line for line in lines)
