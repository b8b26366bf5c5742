"""Conditions of two domains in one graph: each by its own recipes, neither by the other's."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import dagster as dg

from ngsim_assets.automation.conditions import Recipe, automation_sensor, rebuild
from ngsim_assets.automation.instances import DATA_VERSION, observed, restored, told_of
from ngsim_assets.automation.versions import NOTHING, DataVersion, origin_of

KEYS = dg.DynamicPartitionsDefinition(name="thing")


@dataclass
class Domain:
    """A source and a table of it, built by a recipe that may change.

    Attributes:
        made: how often a recipe was made.
    """

    name: str
    recipe: str = "first"
    made: int = 0
    cursor: str | None = None
    sensor: dg.AutomationConditionSensorDefinition = field(init=False)

    def __post_init__(self) -> None:
        self.sensor = automation_sensor(
            f"rebuild_{self.name}", group=self.name, description="Builds what changed."
        )

    def recipes(self) -> Recipe:
        self.made += 1
        recipe = self.recipe
        return lambda asset, partition, code: f"{recipe} {asset} {partition} {code}"

    def assets(self) -> list[dg.AssetsDefinition | dg.SourceAsset]:
        @dg.observable_source_asset(
            name=f"{self.name}_source", partitions_def=KEYS, group_name=self.name
        )
        def source() -> dg.DataVersionsByPartition:
            return dg.DataVersionsByPartition({})

        @dg.asset(
            name=self.name,
            deps=[source],
            partitions_def=KEYS,
            group_name=self.name,
            code_version="1",
            automation_condition=rebuild(self.recipes),
        )
        def table() -> None: ...

        return [source, table]

    def version(self, partition: str, content: str) -> str:
        """What a build of this content would tell of the table."""
        recipe = self.recipes()(self.name, partition, "1")
        return str(DataVersion("rows", origin_of(recipe, {f"{self.name}_source": content})))

    def wanted(self, instance: dg.DagsterInstance, repository: dg.RepositoryDefinition) -> set[str]:
        """Partitions that a tick asks for."""
        context = dg.build_sensor_context(
            instance,
            cursor=self.cursor,
            repository_def=repository,
            sensor_name=self.sensor.name,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = self.sensor.evaluate_tick(context)
        self.cursor = result.cursor
        return {str(request.partition_key) for request in result.run_requests or []}


def test_each_domain_is_judged_by_its_own_recipes() -> None:
    one, other = Domain("one"), Domain("other")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = dg.Definitions(
            assets=[*one.assets(), *other.assets()], sensors=[one.sensor, other.sensor]
        )
        repository = graph.get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("thing", ["a", "b"])
        for domain in (one, other):
            observed(instance, f"{domain.name}_source", "a", "content", {})
            observed(instance, f"{domain.name}_source", "b", NOTHING, {})
            instance.report_runless_asset_event(
                dg.AssetMaterialization(
                    domain.name,
                    partition="a",
                    tags={DATA_VERSION: domain.version("a", "content")},
                )
            )
        one.made = 0
        assert one.wanted(instance, repository) == set()
        assert one.made == 1, "a recipe is made once in a tick"
        assert other.wanted(instance, repository) == set()

        one.recipe = "second"
        assert other.wanted(instance, repository) == set()
        assert one.wanted(instance, repository) == {"a"}

        version = f"{one.version('a', 'content')}.restored3"
        restored(instance, "a", {"one": version})
        told = told_of(instance.event_log_storage, dg.AssetKey("one"))
        assert told == {"a": DataVersion.parse(version)}
        assert one.wanted(instance, repository) == set(), "held as it was rolled back"
