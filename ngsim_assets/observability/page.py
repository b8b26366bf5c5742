"""docs/MONITORING.md: every metric as it is declared, and how Prometheus comes by them.

Belongs here: the page. Does not belong here: the metrics (metrics.py).
"""

from __future__ import annotations

from collections.abc import Iterable

from ngsim_assets.observability.folding import FILE
from ngsim_assets.observability.keeping import EVERY
from ngsim_assets.observability.metrics import ALL, METRICS, UNKNOWN, Metric
from ngsim_assets.observability.pushing import JOB

_INTRODUCTION = f"""\
# Monitoring

Generated from the code by `make docs`. How good a recording is says [METRICS.md](METRICS.md); this
page is about the platform at work.

## How Prometheus gets them

Commands and runs end before Prometheus would have asked them. So each process adds what it counted
to `NGSIM_DATA/metrics/{FILE}`: every {EVERY:g} s and when it ends, one process at a time, each
count exactly once. A process that is killed loses what it counted since it last did so, and nothing
that others counted. A file that was damaged is kept beside as `{FILE}.damaged`, and counting begins
anew, which Prometheus takes for a restart. Measuring never fails what it measures: what cannot be
kept is told as a warning in the log. There are three ways from there to Prometheus; with more than
one of them at once everything counts twice.

| way | what it tells | how |
|---|---|---|
| `ngsim serve` | everything | scrape `http://127.0.0.1:9464/metrics` |
| node exporter | what is kept | `--collector.textfile.directory=NGSIM_DATA/metrics` |
| Pushgateway | what is kept | `NGSIM_PUSHGATEWAY=http://HOST:9091`, job `{JOB}`, a group per host |

A gateway that does not answer is a warning, and is left alone for a minute. `deploy/` has a
[configuration](../deploy/prometheus.yml), [alerts](../deploy/prometheus-alerts.yml) with
[tests of what they do](../deploy/prometheus-alerts.test.yml), and a
[dashboard for Grafana](../deploy/grafana-dashboard.json): Dashboards, New, Import.

## Labels

Every combination of labels is a series for ever, so there are few. Recordings are no labels; which
one it was stands in the log and in Dagster.

- `highway`: a site, such as `us-101`; `formula-1`, of sessions; `{ALL}`, of all together;
  `{UNKNOWN}`, rows of no recording and files that could not be read.
- `source`: `ngsim`, downloads; `incoming`, files put into the watched folder; `downloads`, files
  that a download put there; `command line`, files named to a command. Of a recording also
  `several`. Of sessions the name of an ingestor, such as `f1-timing`, or `f1-files`; `{ALL}` of
  what steps do.
- `stage`: an asset of the graph, such as `validated_points`; `download`, `intake` and `upkeep`. Of
  a score `validated` or `cleaned`, or `session`.
- `folder`: of the data folder, `landing`, `lake`, `downloads`, `reports` or `rejected`.
- `check`: of `/health`.

`ngsim_records_total` tells the same rows at two places: downloaded (`source="ngsim"`) and taken in
(`source="downloads"`). What was delivered in all is the sum without the first.

A counter that Prometheus has not seen before has no increase: `increase()` and `rate()` leave out
what stood in it at the first scrape. The alert on errors looks for such series too.

## Metrics

Those that are not kept are found out when `ngsim serve` is asked.
"""


def monitoring_page() -> str:
    """The page."""
    return "\n".join([_INTRODUCTION, *_table(METRICS)]) + "\n"


def _table(metrics: Iterable[Metric]) -> Iterable[str]:
    yield "| metric | kind | unit | labels | kept | meaning |"
    yield "|---|---|---|---|---|---|"
    for metric in metrics:
        buckets = f" Buckets: {', '.join(f'{bound:g}' for bound in metric.buckets)} s."
        told = [metric.meaning, metric.note, buckets.strip() if metric.buckets else ""]
        cells = (
            f"`{metric.name}`",
            metric.kind,
            metric.unit,
            ", ".join(f"`{label}`" for label in metric.labels),
            "yes" if metric.kept else "",
            " ".join(text for text in told if text),
        )
        yield "| " + " | ".join(cells) + " |"
