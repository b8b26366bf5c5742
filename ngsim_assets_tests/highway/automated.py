"""A graph with the platform's shape and conditions whose builds cost nothing, and its daemon.

Belongs here: stand-ins for stages that go wrong when told to, real ticks of the automation sensor
with a kept cursor, real runs of what they ask for. Does not belong here: what is expected.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from uuid import uuid4

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from ngsim_assets.automation.instances import inputs_of_all
from ngsim_assets.automation.versions import DataVersion, origin_of
from ngsim_assets.highway.automation import AUTOMATION, REBUILD, ROLL_UP
from ngsim_assets.highway.data_versions import BUILT_FROM, RAW_FILES, recipe_of
from ngsim_assets.highway.keys import PartitionKey
from ngsim_assets.highway.resources import recordings, register
from ngsim_assets.highway.stages import open_platform
from ngsim_assets.settings import load_settings

SUMMARY = "corpus_summary"
PER_RECORDING = tuple(asset for asset in BUILT_FROM if asset != SUMMARY)
STEPS: Mapping[str, tuple[str, ...]] = {
    "raw_trajectories": ("raw_trajectories",),
    "validation": ("validated_points", "quarantine"),
    **{name: (name,) for name in PER_RECORDING[3:]},
}


_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class World:
    """What is stored, and what goes wrong.

    Attributes:
        stored: content by asset and partition. delivered: content by partition.
        failing: assets whose stage raises. refused: assets whose blocking check fails.
        during: called in the middle of the stage of an asset.
        code: code version by asset.
    """

    stored: dict[tuple[str, str], str] = field(default_factory=dict)
    delivered: dict[str, str] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    during: dict[str, Callable[[], object]] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)

    def content(self, asset: str, partition: str) -> str:
        return self.delivered[partition] if asset == RAW_FILES else self.stored[asset, partition]

    def inputs(self, asset: str, partition: str) -> dict[str, str]:
        return {name: self.content(name, partition) for name in BUILT_FROM[asset]}

    def recipe(self, asset: str, partition: str) -> str:
        platform = open_platform(load_settings())
        return recipe_of(platform, asset, partition.partition("|")[0], self.code.get(asset, "1"))


def build_graph(world: World) -> dg.Definitions:
    """The platform's assets, conditions, checks and automation over `world`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dg.Definitions(
            assets=[
                _raw_files(),
                *(_stage(world, step, assets) for step, assets in STEPS.items()),
                _summary(world),
            ],
            asset_checks=[_check(world, "raw_trajectories")],
            sensors=[AUTOMATION],
            executor=dg.in_process_executor,
        )


def _raw_files() -> dg.SourceAsset:
    @dg.observable_source_asset(name=RAW_FILES, partitions_def=recordings, group_name="highway")
    def observe() -> dg.DataVersionsByPartition:
        return dg.DataVersionsByPartition({})

    return observe


def _spec(world: World, asset: str, condition: dg.AutomationCondition) -> dg.AssetSpec:
    return dg.AssetSpec(
        asset,
        deps=BUILT_FROM[asset],
        code_version=world.code.get(asset, "1"),
        automation_condition=condition,
        group_name="highway",
    )


def _stage(world: World, step: str, assets: tuple[str, ...]) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=step,
        specs=[_spec(world, asset, REBUILD) for asset in assets],
        partitions_def=recordings,
    )
    def build(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        partition = context.partition_key
        inputs = {asset: world.inputs(asset, partition) for asset in assets}
        for asset in assets:
            if asset in world.during:
                world.during.pop(asset)()
            if asset in world.failing:
                raise RuntimeError(f"{asset} cannot be built")
            origin = origin_of(world.recipe(asset, partition), inputs[asset])
            world.stored[asset, partition] = f"{asset[:3]}-{origin}"
            version = DataVersion(world.stored[asset, partition], origin)
            yield dg.MaterializeResult(asset, data_version=dg.DataVersion(str(version)))

    return build


def _summary(world: World) -> dg.AssetsDefinition:
    @dg.multi_asset(specs=[_spec(world, SUMMARY, ROLL_UP)], name=SUMMARY)
    def build(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        inputs = inputs_of_all(context.instance, BUILT_FROM[SUMMARY])
        if SUMMARY in world.failing:
            raise RuntimeError(f"{SUMMARY} cannot be built")
        version = DataVersion("all", origin_of(world.code.get(SUMMARY, "1"), inputs))
        return dg.MaterializeResult(SUMMARY, data_version=dg.DataVersion(str(version)))

    return build


def _check(world: World, asset: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset, name=f"{asset}_sound", blocking=True, partitions_def=recordings)
    def check() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=asset not in world.refused)

    return check


@dataclass
class Wanted:
    """What a tick asked for: assets by partition, and in how many backfills."""

    partitions: dict[str, frozenset[str]] = field(default_factory=dict)
    summary: bool = False
    backfills: int = 0
    runs: list[dg.DagsterRun] = field(default_factory=list)
    backfill: PartitionBackfill | None = None

    def __bool__(self) -> bool:
        return bool(self.partitions or self.summary)


class Daemon:
    """Ticks the automation sensor as the daemon does, and runs what it asks for."""

    def __init__(self, instance: dg.DagsterInstance, world: World) -> None:
        self.instance = instance
        self.world = world
        self.cursor: str | None = None
        self._built: dict[tuple[tuple[str, str], ...], dg.Definitions] = {}

    @property
    def definitions(self) -> dg.Definitions:
        """The graph with the code versions of now."""
        code = tuple(sorted(self.world.code.items()))
        if code not in self._built:
            self._built[code] = build_graph(self.world)
        return self._built[code]

    def reopened(self, instance: dg.DagsterInstance) -> "Daemon":
        """The daemon after a restart: nothing but its cursor and the instance are left."""
        again = Daemon(instance, self.world)
        again.cursor = self.cursor
        return again

    def deliver(self, partition: str, content: str) -> None:
        """New content of a recording, as taking in a file reports it."""
        self.world.delivered[partition] = content
        register(self.instance, PartitionKey.parse(partition), content, 1)

    def tick(self) -> Wanted:
        """One evaluation; creates the runs it asks for, as the daemon does in the same tick."""
        repository = self.definitions.get_repository_def()
        context = dg.build_sensor_context(
            self.instance,
            cursor=self.cursor,
            repository_def=repository,
            sensor_name=AUTOMATION.name,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = AUTOMATION.evaluate_tick(context)
        self.cursor = result.cursor
        wanted = Wanted()
        for request in result.run_requests or []:
            if request.asset_graph_subset is not None:
                wanted.backfills += 1
                wanted.backfill = PartitionBackfill.from_asset_graph_subset(
                    backfill_id=uuid4().hex[:8],
                    backfill_timestamp=0.0,
                    tags=request.tags,
                    dynamic_partitions_store=self.instance,
                    asset_graph_subset=request.asset_graph_subset,
                    title=None,
                    description=None,
                    run_config=None,
                )
                self.instance.add_backfill(wanted.backfill)
                for part in request.asset_graph_subset.iterate_asset_partitions():
                    if part.partition_key is None:
                        wanted.summary = True
                        continue
                    there = wanted.partitions.get(part.partition_key, frozenset())
                    wanted.partitions[part.partition_key] = there | {part.asset_key.path[-1]}
                continue
            names = frozenset(key.path[-1] for key in request.asset_selection or [])
            if request.partition_key is None:
                wanted.summary = True
            else:
                assert request.partition_key not in wanted.partitions, "two runs of a partition"
                wanted.partitions[request.partition_key] = names
            wanted.runs.append(self._create(names, request.partition_key, request.tags))
        return wanted

    def work(self, wanted: Wanted) -> list[bool]:
        """Execute what a tick asked for; whether each run succeeded."""
        if wanted.backfill is not None:
            for partition, names in sorted(wanted.partitions.items()):
                wanted.runs.append(self._create(names, partition, {}))
        done = [self.execute(run) for run in wanted.runs]
        if wanted.backfill is not None:
            finished = wanted.backfill.with_status(BulkActionStatus.COMPLETED_SUCCESS)
            self.instance.update_backfill(finished)
        return done

    def roll_back(self, partition: str, contents: Mapping[str, str]) -> None:
        """Tables of a recording are as they were: `contents` by asset, as a rollback tells it."""
        for asset, content in contents.items():
            self.world.stored[asset, partition] = content
        for asset in contents:
            recipe = self.world.recipe(asset, partition)
            origin = origin_of(recipe, self.world.inputs(asset, partition))
            version = DataVersion(self.world.stored[asset, partition], origin, "restored1")
            self.instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    asset, partition=partition, tags={"dagster/data_version": str(version)}
                )
            )

    def settle(self, limit: int = 8) -> list[Wanted]:
        """Tick and work until a tick asks for nothing; what each asked for."""
        asked: list[Wanted] = []
        for _ in range(limit):
            wanted = self.tick()
            if not wanted:
                return asked
            self.work(wanted)
            asked.append(wanted)
        raise AssertionError(f"still asking after {limit} ticks: {asked}")

    def by_hand(self, partition: str | None, assets: Iterable[str] = PER_RECORDING) -> bool:
        """A run that somebody starts without the daemon."""
        run = self._create(frozenset(assets), partition, {})
        return self.execute(run)

    def execute(self, run: dg.DagsterRun) -> bool:
        job = self._job(frozenset(run.asset_selection or ()))
        return execute_run(InMemoryJob(job), run, self.instance).success

    def _create(
        self, names: frozenset[str], partition: str | None, tags: Mapping[str, str]
    ) -> dg.DagsterRun:
        keys = frozenset(dg.AssetKey(name) for name in names)
        job = self._job(keys)
        parts = {} if partition is None else recordings.get_tags_for_partition_key(partition)
        return self.instance.create_run_for_job(job, tags={**tags, **parts}, asset_selection=keys)

    def _job(self, keys: frozenset[dg.AssetKey]) -> dg.JobDefinition:
        job = self.definitions.resolve_implicit_global_asset_job_def()
        return job.get_subset(asset_selection=keys, asset_check_selection=None)
