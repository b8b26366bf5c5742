"""Dashboard and alerts ask for metrics that exist, by labels that these have.

Belongs here: everything of `deploy/` that Prometheus and Grafana read.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import promql_parser as promql
import pytest
import yaml

from ngsim_assets.observability.metrics import METRICS
from ngsim_assets.observability.page import monitoring_page

DEPLOY = Path(__file__).resolve().parent.parent / "deploy"
PROMTOOL = shutil.which("promtool")

# what Prometheus adds to every series, and series that it makes itself
GIVEN = frozenset({"instance", "job"})
OF_PROMETHEUS: Mapping[str, frozenset[str]] = {
    "up": GIVEN,
    "ALERTS": GIVEN | {"alertname", "alertstate"},
}
LABELS: Mapping[str, frozenset[str]] = {
    **OF_PROMETHEUS,
    **{
        sample: GIVEN | {*metric.labels} | ({"le"} if sample.endswith("_bucket") else set())
        for metric in METRICS
        for sample in metric.samples
    },
}
# of Grafana, in place of what it fills in
VARIABLES = {"$__rate_interval": "5m", "$__range": "1d", "$highway": ".*", "$instance": ".*"}


def labels_of(expression: promql.Expr) -> frozenset[str]:
    """Labels of what an expression gives; fails where it asks for what is not there."""
    found = frozenset[str]()
    match expression:
        case promql.VectorSelector():
            found = _selected(expression)
        case promql.MatrixSelector():
            found = _selected(expression.vector_selector)
        case promql.ParenExpr():
            found = labels_of(expression.expr)
        case promql.AggregateExpr():
            found = _grouped(expression)
        case promql.Call():
            found = found.union(*map(labels_of, expression.args))
            if expression.func.name == "histogram_quantile":
                assert "le" in found, "quantiles are of buckets"
                found -= {"le"}
        case promql.BinaryExpr():
            found, right = labels_of(expression.lhs), labels_of(expression.rhs)
            assert str(expression.op) != "or" or found == right, f"they differ: {found ^ right}"
            found = found or right
        case _:
            assert isinstance(expression, promql.NumberLiteral), f"not looked into: {expression}"
    return found


def _selected(selector: promql.VectorSelector) -> frozenset[str]:
    name = selector.name or ""
    assert name in LABELS, f"no metric {name}"
    asked = {matcher.name for matcher in selector.matchers.matchers}
    assert asked <= LABELS[name], f"{name} has no {asked - LABELS[name]}"
    return LABELS[name]


def _grouped(aggregate: promql.AggregateExpr) -> frozenset[str]:
    inside, modifier = labels_of(aggregate.expr), aggregate.modifier
    assert modifier is None or modifier.type == promql.AggModifierType.By
    kept = frozenset(modifier.labels if modifier is not None else ())
    assert kept <= inside, f"nothing to group by {kept - inside}"
    return kept


def _parsed(text: str) -> promql.Expr:
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    assert "$" not in text, f"not known to Grafana: {text}"
    return promql.parse(text)


def _rules() -> Iterator[dict[str, object]]:
    told = yaml.safe_load((DEPLOY / "prometheus-alerts.yml").read_text())
    for group in told["groups"]:
        yield from group["rules"]


def _dashboard() -> dict[str, list[dict[str, object]]]:
    return json.loads((DEPLOY / "grafana-dashboard.json").read_text())


def _targets() -> Iterator[tuple[str, str, str]]:
    for panel in _dashboard()["panels"]:
        targets = panel.get("targets", [])
        assert isinstance(targets, list)
        for target in targets:
            yield str(panel["title"]), target["expr"], target["legendFormat"]


@pytest.mark.parametrize(
    "wrong",
    [
        "sum by (highway) (rate(ngsim_rows_total[5m]))",
        'ngsim_records_total{recording="2005-06-15T0750"}',
        "sum by (stage) (ngsim_records_total)",
        "histogram_quantile(0.5, sum by (source) (rate(ngsim_records_total[5m])))",
        "sum by (highway) (ngsim_errors_total) or sum by (source) (ngsim_errors_total)",
        "ngsim_daemon_up{highway='us-101'} == 0",
    ],
)
def test_what_does_not_exist_would_be_noticed(wrong: str) -> None:
    with pytest.raises(AssertionError):
        labels_of(promql.parse(wrong))


def test_alerts_ask_for_what_exists_and_name_what_they_found() -> None:
    rules = list(_rules())
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 10
    for rule in rules:
        labels = labels_of(promql.parse(str(rule["expr"])))
        told = json.dumps(rule["annotations"])
        named = set(re.findall(r"\$labels\.(\w+)", told))
        assert named <= labels, f"{rule['alert']} names {named - labels}"
        assert "instance" in named, f"{rule['alert']} does not say where"


def test_panels_ask_for_what_exists_and_name_what_they_show() -> None:
    for title, expression, legend in _targets():
        labels = labels_of(_parsed(expression))
        named = set(re.findall(r"{{(\w+)}}", legend))
        assert named <= labels, f"{title} names {named - labels}"


def test_every_metric_is_shown_somewhere() -> None:
    shown = " ".join(expression for _, expression, _ in _targets())
    missing = [metric.name for metric in METRICS if metric.name not in shown]
    assert missing == []


def test_panels_stand_side_by_side_and_are_explained() -> None:
    panels = _dashboard()["panels"]
    taken: dict[tuple[int, int], object] = {}
    for panel in panels:
        assert panel["type"] == "row" or panel["description"], panel["title"]
        place = panel["gridPos"]
        assert isinstance(place, dict)
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken, f"{panel['title']} covers {taken[x, y]}"
                taken[x, y] = panel["title"]
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_variables_of_the_dashboard_are_read_off_metrics() -> None:
    variables = _dashboard()["templating"]["list"]  # pyright: ignore[reportCallIssue, reportArgumentType]
    asked = [
        re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
        for variable in variables
        if variable["type"] == "query"
    ]
    assert len(asked) == 2
    for found in asked:
        assert found is not None
        assert found[2] in LABELS[found[1]]


def test_the_page_names_every_metric_with_its_unit_and_labels() -> None:
    page = monitoring_page()
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        assert f"| `{metric.name}` | {metric.kind} | {metric.unit} | {labels} |" in page
    told = set(re.findall(r"\bngsim_[a-z_]+", page)) - {"ngsim_assets"}
    assert told <= LABELS.keys() | {metric.name for metric in METRICS}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (apt: prometheus)")
@pytest.mark.parametrize(
    "asked",
    [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "prometheus-alerts.yml"],
        ["test", "rules", "prometheus-alerts.test.yml"],
    ],
    ids=" ".join,
)
def test_promtool_agrees(asked: list[str]) -> None:
    done = subprocess.run(
        [str(PROMTOOL), *asked], cwd=DEPLOY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_to_fire_and_to_stay_silent() -> None:
    told = yaml.safe_load((DEPLOY / "prometheus-alerts.test.yml").read_text())
    fires: dict[str, set[bool]] = {}
    for case in told["tests"]:
        for one in case["alert_rule_test"]:
            fires.setdefault(one["alertname"], set()).add(bool(one["exp_alerts"]))
    assert fires == {str(rule["alert"]): {True, False} for rule in _rules()}
