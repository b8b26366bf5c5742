"""When tables are built by themselves: what is out of date, and what holds a build up.

Whether a table is out of date is read off the data versions themselves (versions.py) at every
tick, and not gathered from events since the last one. So nothing is lost when the daemon was down,
when content changed while a run was going, or when a tick's memory is gone; and what was built by
hand is up to date like anything else.

A domain says by which code and parameters its assets are built now, and gets its conditions and
its sensor:

    def recipes() -> Recipe:  # called once in a tick
        settings = load_settings()
        return lambda asset, partition, code_version: recipe_of(code_version, ...)

    REBUILD = rebuild(recipes)    # of the tables of one partition
    ROLL_UP = roll_up(recipes)    # of what is made of all partitions
    AUTOMATION = automation_sensor("rebuild_sessions", group="f1", description="...")

Every materialization of such an asset has to carry a `DataVersion` (versions.py), and what is
delivered has to be observed with a content as data version (instances.py), where NOTHING is not
built of.

Belongs here: the conditions, and the sensor that evaluates them. Does not belong here: how versions
are made (versions.py), what a build does.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import dagster as dg

from ngsim_assets.automation.instances import DATA_VERSION, content_of_all, told_of
from ngsim_assets.automation.versions import NOTHING, DataVersion, origin_of

Recipe = Callable[[str, str, str], str]
"""Code and parameters as one, of an asset, a partition (empty: it has none) and a code version."""

Recipes = Callable[[], Recipe]
"""Makes the recipe for one tick: what it reads, such as settings, is read once."""

MAX_REQUESTS = 2
"""Builds asked for the same content, code and parameters: one, and another where that failed."""

LONGEST_WAIT = 900.0
"""Seconds after which partitions are summed up though others are still being built."""

NIGHTLY = "15 4 * * *"
"""When partitions are summed up whether any changed or not, UTC."""

INTERVAL = 5
"""Seconds between two ticks at least; one costs a fraction of a second for 4,000 partitions."""

RUN_TAGS = {"ngsim/started_by": "automation"}
_FEW = 500  # partitions that a query names one by one
_WHOLE = ""  # where an asset without partitions would have a partition key


class _Versions:
    """Data versions of every partition of every asset, read once in a tick."""

    def __init__(self, instance: dg.DagsterInstance, asset_graph: Any, recipe: Recipe) -> None:
        self._storage = instance.event_log_storage
        self._graph = asset_graph
        self._made_by = recipe
        self._told: dict[dg.AssetKey, Mapping[str, DataVersion]] = {}
        self._causes: dict[tuple[dg.AssetKey, str], str] = {}

    def of(self, key: dg.AssetKey) -> Mapping[str, DataVersion]:
        """Latest data version of each partition that has one."""
        if key not in self._told:
            node = self._graph.get(key)
            if node.is_partitioned:
                self._told[key] = told_of(self._storage, key, observed=not node.is_materializable)
            else:
                event = self._storage.get_latest_materialization_events([key]).get(key)
                made = event.asset_materialization if event is not None else None
                version = (made.tags or {}).get(DATA_VERSION) if made is not None else None
                self._told[key] = {_WHOLE: DataVersion.parse(version)} if version else {}
        return self._told[key]

    def expected(self, key: dg.AssetKey) -> Mapping[str, str]:
        """The origin each partition would have if it were built now, where it can be."""
        node = self._graph.get(key)
        parents = sorted(node.parent_keys)
        if not node.is_partitioned:
            if not all(self.of(parent) for parent in parents):
                return {}
            inputs = {
                parent.to_user_string(): content_of_all(self.of(parent)) for parent in parents
            }
            return {_WHOLE: origin_of(self._recipe(key, _WHOLE), inputs)}
        there = [self.of(parent) for parent in parents]
        buildable = set.intersection(
            *({name for name in told if told[name].content != NOTHING} for told in there)
        )
        return {
            name: origin_of(
                self._recipe(key, name),
                {
                    parent.to_user_string(): versions[name].content
                    for parent, versions in zip(parents, there, strict=True)
                },
            )
            for name in buildable
        }

    def out_of_date(self, key: dg.AssetKey) -> set[str]:
        """Partitions that would have another origin if they were built now."""
        told = self.of(key)
        return {
            name
            for name, origin in self.expected(key).items()
            if name not in told or told[name].origin != origin
        }

    def cause(self, key: dg.AssetKey, name: str) -> str:
        """What a build of a partition goes back to: delivered content, code, parameters, rollbacks.

        It stays the same while a wave of builds goes from table to table, whatever of it fails.
        """
        node = self._graph.get(key)
        if not node.is_partitioned:
            return self.expected(key).get(name, "")
        if (key, name) not in self._causes:
            causes: dict[str, str] = {}
            for parent in sorted(node.parent_keys):
                version = self.of(parent).get(name, DataVersion(""))
                root = not self._graph.get(parent).is_materializable
                causes[parent.to_user_string()] = (
                    version.content if root else f"{self.cause(parent, name)}.{version.mark}"
                )
            self._causes[key, name] = origin_of(self._recipe(key, name), causes)
        return self._causes[key, name]

    def _recipe(self, key: dg.AssetKey, name: str) -> str:
        """Code and parameters by which a partition would be built now."""
        code = self._graph.get(key).code_version
        return self._made_by(key.to_user_string(), name, code or "")


_OF_TICK: WeakKeyDictionary[Any, dict[Recipes, _Versions]] = WeakKeyDictionary()


_Asked = tuple[dg.AssetKey, frozenset[str]]
_REFUSED: WeakKeyDictionary[Any, dict[_Asked, set[str]]] = WeakKeyDictionary()


class OutOfDate(dg.AutomationCondition[dg.AssetKey]):
    """Not what would come out of the present content, code and parameters, and worth a build.

    A build that failed is asked for once more; then only other content, code or parameters or a
    rollback make it worth another try. What was asked for is remembered from tick to tick for
    partitions that are out of date or being built, and for no others.
    """

    def __init__(self, recipes: Recipes) -> None:
        self._recipes = recipes

    @property
    def name(self) -> str:
        return "out_of_date"

    @property
    def description(self) -> str:
        return f"Made of other content or code than there is now, asked for under {MAX_REQUESTS}x"

    @cached_property
    def _in_progress(self) -> dg.AutomationCondition:
        return dg.AutomationCondition.in_progress()

    @property
    def children(self) -> list[dg.AutomationCondition]:
        return [self._in_progress]

    async def evaluate(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, context: dg.AutomationContext[dg.AssetKey]
    ) -> dg.AutomationResult[dg.AssetKey]:
        """Partitions to build, and the requests made for what is not built yet."""
        versions = self._versions(context)
        late = _valid(context, versions.out_of_date(context.key))
        asked: dict[str, tuple[str, int]] = {
            name: (cause, requests)
            for name, (cause, requests) in json.loads(context.cursor or "{}").items()
        }
        before = context.get_previous_requested_subset(context.key)
        requested = _names(before) if before is not None else set()
        building = await context.for_child_condition(
            child_condition=self._in_progress,
            child_indices=[0],
            candidate_subset=_subset(context, _valid(context, late | requested | set(asked))),
        ).evaluate_async()
        remembered: dict[str, tuple[str, int]] = {}
        for name in late | _names(building.true_subset):
            cause = versions.cause(context.key, name)
            then, requests = asked.get(name, (cause, 0))
            requests = (requests if then == cause else 0) + (name in requested)
            if requests:
                remembered[name] = (cause, requests)
        due = {name for name in late if remembered.get(name, ("", 0))[1] < MAX_REQUESTS}
        return dg.AutomationResult(
            context,
            _subset(context, due),
            cursor=json.dumps(remembered, sort_keys=True),
            child_results=[building],
        )

    def _versions(self, context: dg.AutomationContext[dg.AssetKey]) -> _Versions:
        view = context.asset_graph_view
        of_tick = _OF_TICK.setdefault(view, {})
        if self._recipes not in of_tick:
            of_tick[self._recipes] = _Versions(view.instance, view.asset_graph, self._recipes())
        return of_tick[self._recipes]


class BlockingCheckFailed(dg.AutomationCondition[dg.AssetKey]):
    """A blocking check of what is stored now has failed.

    Checks of an earlier content say nothing of it, and one that never ran holds nothing up: it
    runs with the next build.
    """

    @property
    def name(self) -> str:
        return "blocking_check_failed"

    @property
    def requires_cursor(self) -> bool:
        return False

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult:
        """Candidates whose content a blocking check has refused."""
        graph = context.asset_graph
        checks = [key for key in graph.get(context.key).check_keys if graph.get(key).blocking]
        names = _names(context.candidate_subset)
        if not checks or not names:
            return dg.AutomationResult(context, context.get_empty_subset())
        # what hangs on many assets asks for each of them, and others for the same ones again
        of_tick = _REFUSED.setdefault(context.asset_graph_view, {})
        asked = context.key, frozenset(names)
        if asked not in of_tick:
            few = sorted(names) if len(names) <= _FEW else None
            storage = context.asset_graph_view.instance.event_log_storage
            of_tick[asked] = {
                info.partition_key
                for info in storage.get_asset_check_partition_info(checks, partition_keys=few)
                if info.partition_key is not None
                and info.latest_execution_status.value == "FAILED"
                and info.is_current
            }
        return dg.AutomationResult(context, _subset(context, names & of_tick[asked]))


class RequestedNow(dg.AutomationCondition[dg.AssetKey]):
    """Asked for in this tick, by whatever run."""

    @property
    def name(self) -> str:
        return "requested_now"

    @property
    def requires_cursor(self) -> bool:
        return False

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult:
        """Candidates that this tick asks for."""
        wanted = context.request_subsets_by_key.get(context.key, context.get_empty_subset())
        return dg.AutomationResult(context, context.candidate_subset.compute_intersection(wanted))


class WaitedLong(dg.AutomationCondition[dg.AssetKey]):
    """A candidate at every tick for longer than LONGEST_WAIT."""

    @property
    def name(self) -> str:
        return "waited_long"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult:
        """All candidates or none, and since when there are any."""
        if context.candidate_subset.is_empty:
            return dg.AutomationResult(context, context.get_empty_subset())
        now = context.evaluation_time.timestamp()
        since = float(context.cursor or now)
        waited = now - since > LONGEST_WAIT
        subset = context.candidate_subset if waited else context.get_empty_subset()
        return dg.AutomationResult(context, subset, cursor=str(since))


def _names(subset: Any) -> set[str]:
    if not subset.is_partitioned:
        return set() if subset.is_empty else {_WHOLE}
    return set(subset.expensively_compute_partition_keys())


def _valid(context: dg.AutomationContext[dg.AssetKey], names: Collection[str]) -> set[str]:
    """Those of `names` that are partitions still."""
    if context.partitions_def is None:
        return set(names)
    return set(context.partitions_def.filter_valid_partition_keys(set(names)))


def _subset(context: dg.AutomationContext[dg.AssetKey], names: Collection[str]) -> Any:
    """Those candidates of `context` that go by one of `names`."""
    if context.partitions_def is not None:
        return context.candidate_subset.compute_intersection_with_partition_keys(set(names))
    return context.candidate_subset if names else context.get_empty_subset()


_AC = dg.AutomationCondition


def rebuild(recipes: Recipes) -> dg.AutomationCondition[dg.AssetKey]:
    """For the tables of one partition.

    `OutOfDate` starts a build; where it does, everything that hangs on the table is requested in
    the same tick (`will_be_requested`), so that a partition is built in one run. Nothing is built
    of an input that was never made (`any_deps_missing`), of one that is being made
    (`any_deps_in_progress`), twice at once (`in_progress`), or of one that a blocking check has
    refused, unless that one is rebuilt in the same run, which then stops there by itself.
    """
    with_inputs = _AC.any_deps_match(_AC.will_be_requested()).with_label("built_with_inputs")
    refused = BlockingCheckFailed() & ~_AC.will_be_requested()
    return (
        (OutOfDate(recipes) | with_inputs)
        & ~_AC.any_deps_missing()
        & ~_AC.any_deps_in_progress()
        & ~_AC.in_progress()
        & ~_AC.any_deps_match(refused).with_label("any_deps_refused")
    ).with_label("rebuild")


def roll_up(recipes: Recipes) -> dg.AutomationCondition[dg.AssetKey]:
    """For what is made of all partitions.

    It waits while any of them is being built or about to be (`any_deps_to_come`), so a wave of
    partitions is summed up once and not once each; but not for ever (`WaitedLong`), since where
    files keep coming something is always being built. That some partitions do not exist does not
    matter, nor that one is refused by a check: the others are summed up.

    It is made every night, too (`nightly`), changed or not: a summary that is older tells that
    nothing runs by itself any more.
    """
    to_come = _AC.any_deps_match(_AC.in_progress() | RequestedNow()).with_label("any_deps_to_come")
    return (
        (OutOfDate(recipes) | _AC.cron_tick_passed(NIGHTLY).with_label("nightly"))
        & ~_AC.in_progress()
        & (~to_come | WaitedLong())
    ).with_label("roll_up")


class _QuietSensor(dg.AutomationConditionSensorDefinition):
    """Keeps of a tick's log what somebody may look for.

    Dagster stores what a tick logs, and says two dozen lines about finding nothing to do, which at
    a tick every few seconds fills hundreds of megabytes a day.
    """

    def evaluate_tick(self, context: dg.SensorEvaluationContext) -> Any:
        """One tick; what it asks for is recorded with the tick itself."""
        context.log.setLevel(logging.WARNING)
        return super().evaluate_tick(context)


def automation_sensor(
    name: str, *, group: str, description: str
) -> dg.AutomationConditionSensorDefinition:
    """The sensor that asks for what the conditions of a group's assets call for."""
    with warnings.catch_warnings():
        # Marked beta in the pinned Dagster; the suite drives it, so an incompatible change fails
        # there.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return _QuietSensor(
            name,
            target=dg.AssetSelection.groups(group),
            # the conditions are Python of this package, which the daemon itself cannot evaluate
            use_user_code_server=True,
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=INTERVAL,
            run_tags=RUN_TAGS,
            description=description,
        )
