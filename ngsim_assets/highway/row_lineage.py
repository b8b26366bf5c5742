"""What became of delivered rows: read, accepted or refused, kept, corrected or filled in.

Belongs here: counting a vehicle's or a line's rows stage by stage. Does not belong here: which
version of a table is meant (lineage.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from ngsim_assets.highway import model
from ngsim_assets.highway.lineage import Traced
from ngsim_assets.highway.stages import Platform
from ngsim_assets.storage.errors import StorageError
from ngsim_assets.storage.lineage import Made
from ngsim_assets.storage.manifest import SourceFile
from ngsim_assets.storage.schema import Table


@dataclass(frozen=True)
class Chosen:
    """Which rows are asked about: those of a vehicle, those of a line, or what both name."""

    vehicle: int | None = None
    row: int | None = None
    file: str | None = None

    @property
    def expression(self) -> pl.Expr:
        """True for those rows, in every table that has them."""
        wanted = {"vehicle_id": self.vehicle, "source_row": self.row, "source_file": self.file}
        return pl.all_horizontal(
            pl.lit(value=True), *(pl.col(n) == v for n, v in wanted.items() if v is not None)
        )


@dataclass(frozen=True)
class ReadFrom:
    """Lines of one delivered file.

    Attributes:
        file: what is recorded of it, None if nothing is. source_rows: `2-401, 500`.
    """

    name: str
    file: SourceFile | None
    rows: int
    source_rows: str


@dataclass(frozen=True)
class Account:
    """Rows at each stage.

    Attributes:
        read_from: the files and lines.
        raw, validated, quarantined: how many rows.
        reasons, flags: rows by rule, of those quarantined and those accepted.
        states: reconstructed points by state: observed, repaired, imputed.
        imputed_for: frames filled in by why no accepted row is there: rules that refused it, or
            `not delivered`.
        moved: m, the farthest that a repaired point was moved, None if none was.
        left_out: accepted rows without a reconstructed point.
        gaps: tables that could not be asked, and why.
    """

    read_from: list[ReadFrom]
    raw: int
    validated: int
    quarantined: int
    reasons: Mapping[str, int]
    flags: Mapping[str, int]
    states: Mapping[str, int]
    imputed_for: Mapping[str, int]
    moved: float | None
    left_out: int
    gaps: list[str] = field(default_factory=list[str])

    @property
    def rows(self) -> int:
        """Rows at any stage: none where nothing is known of what was chosen."""
        return self.raw + self.validated + self.quarantined + sum(self.states.values())


class _Tables:
    """The versions of a recording's tables that belong together, read by the row."""

    def __init__(self, platform: Platform, traced: Iterable[Traced], chosen: Chosen) -> None:
        self._platform = platform
        found = [one for root in traced for one in root.walk()]
        points = [one for one in found if one.made.table == model.CLEANED_TRAJECTORIES.name]
        # first what the points were made from: other tables may be of newer versions of it
        behind = [one for point in points[:1] for one in point.walk()]
        self._made: dict[str, Made] = {}
        for one in (*behind, *found):
            self._made.setdefault(one.made.table, one.made)
        self._chosen = chosen
        self.gaps: list[str] = []

    def rows(self, table: Table, *columns: str) -> pl.DataFrame:
        """The chosen rows of a table, none if it cannot be read."""
        made = self._made.get(table.name)
        empty = pl.DataFrame(schema={name: table.schema[name] for name in columns})
        if made is None:
            if table is not model.QUARANTINE:  # where no row was refused there is nothing
                self.gaps.append(f"{table.name} holds no rows of the recording")
            return empty
        version = None if made.live else made.version
        try:
            found = self._platform.lake.scan(table, made.partition, version=version)
            return found.filter(self._chosen.expression).select(columns).collect()
        except (StorageError, OSError, pl.exceptions.PolarsError) as error:
            self.gaps.append(f"{table.name}: {str(error).splitlines()[0]}")
            return empty

    def files(self) -> dict[str, SourceFile]:
        """Delivered files by the name that rows call them."""
        made = self._made.get(model.RAW_TRAJECTORIES.name)
        return {file.name: file for file in made.provenance.files} if made else {}


def account(platform: Platform, traced: Iterable[Traced], chosen: Chosen) -> Account:
    """What became of the chosen rows, in the versions of tables that `traced` leads through."""
    tables = _Tables(platform, traced, chosen)
    raw = tables.rows(model.RAW_TRAJECTORIES, "source_file", "source_row")
    valid = tables.rows(model.VALIDATED_POINTS, "frame", "source_file", "source_row", "flags")
    bad = tables.rows(model.QUARANTINE, "frame_id", "source_file", "source_row", "reasons")
    clean = tables.rows(
        model.CLEANED_TRAJECTORIES,
        *("frame", "source_file", "source_row", "state"),
        *("x_position", "y_position", "x_raw", "y_raw"),
    )
    place = ["source_file", "source_row"]
    # where raw rows are gone, those of later tables still say where they stood
    stood = raw if raw.height else pl.concat([valid.select(place), bad.select(place)])
    if raw.height and raw.height != valid.height + bad.height:
        tables.gaps.append(
            f"of {raw.height:,} rows {valid.height:,} are accepted and {bad.height:,} quarantined: "
            "these tables are not of one build"
        )
    repaired = clean.filter(state="repaired")
    moved = repaired.select(
        (
            (pl.col("x_position") - pl.col("x_raw")) ** 2
            + (pl.col("y_position") - pl.col("y_raw")) ** 2
        )
        .sqrt()
        .max()
    ).item()
    return Account(
        read_from=_read_from(stood, tables.files()),
        raw=raw.height,
        validated=valid.height,
        quarantined=bad.height,
        reasons=_counted(bad["reasons"]),
        flags=_counted(valid["flags"]),
        states={
            state: clean.filter(state=state).height
            for state in ("observed", "repaired", "imputed")
            if clean.height
        },
        imputed_for=_imputed_for(clean.filter(state="imputed"), bad),
        moved=moved,
        left_out=valid.join(clean, on=place, how="anti").height if clean.height else 0,
        gaps=tables.gaps,
    )


def _read_from(stood: pl.DataFrame, files: Mapping[str, SourceFile]) -> list[ReadFrom]:
    return [
        ReadFrom(str(name), files.get(str(name)), rows.height, ranges(rows["source_row"]))
        for (name,), rows in stood.partition_by(
            "source_file", as_dict=True, maintain_order=True
        ).items()
    ]


def ranges(numbers: pl.Series) -> str:
    """Numbers in order, those that follow each other as one: `2-401, 500`."""
    ordered = numbers.unique().sort()
    runs = (
        pl.DataFrame({"n": ordered})
        .group_by((pl.col("n").diff() != 1).cum_sum().fill_null(0), maintain_order=True)
        .agg(first=pl.col("n").first(), last=pl.col("n").last())
    )
    return ", ".join(
        str(first) if first == last else f"{first}-{last}"
        for first, last in runs.select("first", "last").iter_rows()
    )


def _counted(lists: pl.Series) -> dict[str, int]:
    """How often each name is listed, the most frequent first."""
    names = lists.explode().drop_nulls()
    counts = names.value_counts().sort(["count", names.name], descending=[True, False])
    return dict(counts.iter_rows())


def _imputed_for(imputed: pl.DataFrame, bad: pl.DataFrame) -> dict[str, int]:
    """Frames filled in, by the rules that refused their rows."""
    refused = bad.group_by("frame_id").agg(
        pl.col("reasons").list.explode().unique().sort().str.join(" and ").alias("why")
    )
    why = imputed.join(refused, left_on="frame", right_on="frame_id", how="left")["why"]
    counts = (
        why.fill_null("not delivered")
        .value_counts()
        .sort(["count", "why"], descending=[True, False])
    )
    return dict(counts.iter_rows())
