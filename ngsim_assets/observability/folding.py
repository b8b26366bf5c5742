"""What is counted outlives the process: totals of all of them in one file, which Prometheus reads.

Commands end long before Prometheus would have asked them. So each adds what it counted to
`ngsim.prom` in the folder of metrics, where the node exporter's textfile collector finds it and
`ngsim serve` reads it. Counters and histograms are added to, gauges set. One process at a time
does so, and each adds only what it has not added before; the file is replaced as a whole.

Belongs here: the file, and what a process adds to it. Does not belong here: when (keeping.py).
"""

from __future__ import annotations

import fcntl
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ngsim_assets.errors import NgsimAssetsError
from ngsim_assets.observability import logs
from ngsim_assets.observability.metrics import METRICS, Metric
from ngsim_assets.storage.atomic import make_folder, write_atomically
from ngsim_assets.storage.errors import writing

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client import Metric as Family

Labels = tuple[tuple[str, str], ...]
"""Names and values, sorted."""

Samples = dict[tuple[str, Labels], float]
"""Values by the name of the sample and its labels."""

FILE = "ngsim.prom"

_DAMAGED = f"{FILE}.damaged"
"""No `.prom` at its end, so that the collector does not read it."""

_LOCK = ".folding.lock"
_END = b"# the end\n"
"""Last line of a whole file; without it a file that was cut between two lines would pass."""

_AGAIN_IN = 0.01

_BY_SAMPLE: Mapping[str, Metric] = {name: metric for metric in METRICS for name in metric.samples}

_log = logs.get_logger(logger="metrics")


class MetricsBusy(NgsimAssetsError):
    """Another process has held the file of metrics for too long; nothing was added."""

    def __init__(self, folder: Path, seconds: float) -> None:
        super().__init__(
            f"{folder / FILE} was in use by another process for {seconds:g} s",
            "nothing is lost while this process lives; end the process that hangs",
        )


class Ledger:
    """What of a registry has been added to the file in `folder`.

    Belongs to one process: after a fork, the child must not add what the parent counted.
    """

    def __init__(self, registry: CollectorRegistry, folder: Path) -> None:
        self._registry = registry
        self._folder = folder
        self._added: Samples = {}

    def fold(self, *, patience: float = 5.0) -> bool:
        """Add what was counted since the last time; whether there was anything.

        Args:
            patience: seconds to wait for other processes.

        Raises MetricsBusy, DiskFull, ReadOnlyLake; what was not added is added the next time.
        """
        counted = {
            key: value
            for key, value in collected(self._registry.collect()).items()
            if _BY_SAMPLE[key[0]].kept
        }
        if counted == self._added:
            return False
        path = self._folder / FILE
        with locked(self._folder, _LOCK, patience):
            total = _read_or_begin_anew(path)
            for key, value in counted.items():
                before = self._added.get(key)
                if _BY_SAMPLE[key[0]].kind != "gauge":
                    total[key] = total.get(key, 0.0) + value - (before or 0.0)
                elif value != before:
                    total[key] = value
            content = render(total) + _END
            try:
                write_atomically(path, content)
            except (NgsimAssetsError, OSError):
                # the last step makes the new name safe; when that fails the file is there
                if not _holds(path, content):
                    raise
            self._added = counted
        return True


def totals(folder: Path) -> Samples:
    """What all processes have counted, nothing if the file is missing or damaged."""
    path = folder / FILE
    try:
        return _parsed(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        _log.warning("the file of metrics cannot be read", file=str(path), reason=str(error))
        return {}


def collected(families: Iterable[Family]) -> Samples:
    """Samples of metrics that are declared, with the labels and buckets that they are declared to
    have; what another release wrote otherwise begins anew."""
    samples: Samples = {}
    bounds: dict[tuple[str, Labels], set[float]] = defaultdict(set)
    for family in families:
        for sample in family.samples:
            metric = _BY_SAMPLE.get(sample.name)
            if metric is None:
                continue
            labels = dict(sample.labels)
            if sample.name.endswith("_bucket"):
                bound = float(labels.pop("le"))
                bounds[metric.name, _sorted(labels)].add(bound)
                named = {**labels, "le": _shown(bound)}
            else:
                named = labels
            if set(labels) == set(metric.labels):
                samples[sample.name, _sorted(named)] = sample.value
    return {key: value for key, value in samples.items() if _has_its_buckets(key, bounds)}


def render(samples: Samples) -> bytes:
    """Prometheus' text format, metrics in the order of their declaration."""
    from prometheus_client import generate_latest

    return generate_latest(registry_of(samples))


def registry_of(samples: Samples) -> CollectorRegistry:
    """A registry that has these samples and no others."""
    from prometheus_client import CollectorRegistry
    from prometheus_client import Metric as Family

    grouped: dict[str, list[tuple[str, Labels, float]]] = defaultdict(list)
    for (name, labels), value in samples.items():
        grouped[_BY_SAMPLE[name].name].append((name, labels, value))

    class Told:
        def collect(self) -> Iterator[Family]:
            for metric in METRICS:
                if metric.name not in grouped:
                    continue
                # the writer of the format adds it again
                name = metric.name.removesuffix("_total")
                family = Family(name, metric.meaning, metric.kind)
                for sample, labels, value in sorted(grouped[metric.name], key=_order):
                    family.add_sample(sample, dict(labels), value)
                yield family

    registry = CollectorRegistry()
    registry.register(Told())  # pyright: ignore[reportArgumentType] - a collector by its shape
    return registry


@contextmanager
def locked(folder: Path, name: str, patience: float) -> Iterator[None]:
    """Be the only process that holds the lock `name` of `folder`. Raises MetricsBusy."""
    path = folder / name
    with writing(path):
        make_folder(folder)
        lock = path.open("wb")
    with lock:
        until = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise MetricsBusy(folder, patience) from None
                time.sleep(_AGAIN_IN)
        yield


def _read_or_begin_anew(path: Path) -> Samples:
    try:
        return _parsed(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        aside = path.with_name(_DAMAGED)
        with writing(aside):
            path.replace(aside)
        _log.warning(
            "the file of metrics was damaged, counting begins anew",
            file=str(path),
            reason=str(error),
            kept_as=str(aside),
        )
        return {}


def _parsed(content: bytes) -> Samples:
    """ValueError if it is not what `fold` writes."""
    from prometheus_client.parser import text_string_to_metric_families

    if not content.endswith(_END):
        raise ValueError("its end is missing")
    families = list(text_string_to_metric_families(content.decode()))
    samples = collected(families)
    wrong = [
        name
        for (name, _), value in samples.items()
        if not math.isfinite(value) or (value < 0 and _BY_SAMPLE[name].kind != "gauge")
    ]
    if wrong:
        raise ValueError(f"{wrong[0]} has a value that nothing counts to")
    return samples


def _has_its_buckets(
    key: tuple[str, Labels], bounds: Mapping[tuple[str, Labels], set[float]]
) -> bool:
    metric = _BY_SAMPLE[key[0]]
    if metric.kind != "histogram":
        return True
    labels = tuple(pair for pair in key[1] if pair[0] != "le")
    return bounds.get((metric.name, labels)) == {*metric.buckets, math.inf}


def _holds(path: Path, content: bytes) -> bool:
    with suppress(OSError):
        return path.read_bytes() == content
    return False


def _order(sample: tuple[str, Labels, float]) -> tuple[Labels, str, float]:
    """Buckets of one histogram together and by their bounds, as Prometheus wants them."""
    name, labels, _ = sample
    bound = float(dict(labels).get("le", "inf"))
    return tuple(pair for pair in labels if pair[0] != "le"), name, bound


def _sorted(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _shown(bound: float) -> str:
    return "+Inf" if math.isinf(bound) else str(bound)
