"""`ngsim score`: validation and cleaning against a truth that is known.

Belongs here: what a user asks for, which files are read, and how the answer is shown. Does not
belong here: what is measured (score.py) and what it has to reach (scoring/targets.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, TypeVar

import polars as pl
import typer
from polars.exceptions import PolarsError

from ngsim_assets import console
from ngsim_assets.errors import NgsimAssetsError

T = TypeVar("T", int, float)

_SHOWN = {"speed": "m/s", "acceleration": "m/s²", "position": "m"}


class BadOption(NgsimAssetsError):
    """A value of an option that cannot be read, or options that do not go together."""

    exit_code = 2

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem, fix)


class NotATable(NgsimAssetsError):
    """A file that is neither Parquet nor CSV, or is damaged."""

    exit_code = 2

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(
            f"{path}: {problem}", "give a Parquet or a CSV file, named .parquet or .csv"
        )


class TargetsMissed(NgsimAssetsError):
    """A score that does not reach what it has to."""

    def __init__(self, missed: Sequence[str]) -> None:
        super().__init__(f"targets missed: {'; '.join(missed)}", "each is in the table of targets")


def add_to(app: typer.Typer) -> None:
    """Register the command of this module on `app`."""
    app.command(epilog="Example: ngsim score --noise ngsim,severe --congestion congested")(score)


def score(
    *,
    highway: Annotated[str, typer.Option(help="Sites, comma-separated: us-101, i-80.")] = "",
    congestion: Annotated[str, typer.Option(help="Of free, moderate, congested.")] = "",
    noise: Annotated[
        str, typer.Option(help="Of none, white, correlated, hand-over, light, ngsim, severe.")
    ] = "",
    fault_rate: Annotated[
        str, typer.Option(help="Shares of rows made faulty; by default 0, 0.01, 0.05.")
    ] = "",
    methods: Annotated[str, typer.Option(help="Ways of cleaning; by default all.")] = "",
    seeds: Annotated[str, typer.Option(help="Recordings of each scenario; pooled.")] = "",
    minutes: Annotated[
        float | None, typer.Option(help="Length of every recording.", show_default=False)
    ] = None,
    full: Annotated[
        bool, typer.Option("--full", help="Both sites, faults with every noise: some minutes.")
    ] = False,
    truth: Annotated[
        Path | None, typer.Option(help="Truth of your own, with --result; Parquet or CSV.")
    ] = None,
    result: Annotated[
        Path | None, typer.Option(help="Your reconstruction of it; Parquet or CSV.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document for machines.")
    ] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="The score as a page.")] = False,
) -> None:
    """Measure validation and cleaning on simulated recordings of known truth.

    Errors of every method beside those of the delivered rows, faults caught,
    false alarms. The exit code is 0 only if every target measured holds.

    With --truth and --result: errors of a reconstruction of your own. Columns:
    vehicle_id, frame, y_position (m), and where both files have them x_position
    (m), speed (m/s), acceleration (m/s²). `ngsim simulate FILE` writes a
    recording and its truth, FILE.truth.parquet.
    """
    if truth or result:
        if not (truth and result):
            raise BadOption("--truth and --result go together", "name both files")
        _compare(truth, result, as_json=as_json, markdown=markdown)
        return
    from ngsim_assets.highway import score as scoring
    from ngsim_assets.highway.scoring import page

    chosen = scoring.FULL if full else scoring.QUICK
    plan = replace(
        chosen,
        conditions=scoring.selected(
            chosen.conditions,
            highways=_words(highway),
            congestion=_words(congestion),
            noise=_words(noise),
            faults=_numbers("--fault-rate", fault_rate, float),
        ),
        seeds=_numbers("--seeds", seeds, int) or chosen.seeds,
        minutes=chosen.minutes if minutes is None else minutes,
        methods=_words(methods) or chosen.methods,
    )
    with console.step_progress() as progress:
        bar = progress.add_task("recordings", total=plan.trials)
        measured = scoring.score(
            plan, progress=lambda done, _: progress.update(bar, completed=done)
        )
    if as_json:
        console.print_json(measured.document())
    elif markdown:
        typer.echo(page.page(measured, f"ngsim score{' --full' * full} --markdown"), nl=False)
    else:
        for quantity, unit in _SHOWN.items():
            console.print_table(
                f"Error of {quantity}, {unit}", page.errors_by_method(measured, quantity)
            )
        console.print_table("Faults caught", page.recall_by_kind(measured))
        console.print_table("Targets", page.targets(measured.verdicts))
    missed = scoring.missed(measured.verdicts)
    if missed:
        raise TargetsMissed([f"{verdict.target} ({verdict.where})" for verdict in missed])


def _compare(truth: Path, result: Path, *, as_json: bool, markdown: bool) -> None:
    from ngsim_assets.highway.scoring import given, page
    from ngsim_assets.highway.scoring.accuracy import QUANTITIES

    names = (str(truth), str(result))
    with console.working("comparing"):
        figures = given.compared(_table(truth), _table(result), names).row(0, named=True)
    if as_json:
        console.print_json({"truth": names[0], "result": names[1], **figures})
        return
    rows = [
        {
            "quantity": quantity,
            "unit": unit,
            "points": figures[f"{quantity}_points"],
            "rmse": figures[f"{quantity}_rmse"],
            "bias": figures[f"{quantity}_bias"],
            "largest": figures[f"{quantity}_largest"],
            "rmse of imputed points": figures[f"{quantity}_imputed_rmse"],
        }
        for quantity, (_, unit) in QUANTITIES.items()
        if figures[f"{quantity}_points"] or figures[f"{quantity}_imputed_rmse"] is not None
    ]
    shares = [
        {"share": "frames of the truth in the result", "value": page.percent(figures["coverage"])},
        {"share": "jerks over 15 m/s³", "value": page.percent(figures["jerk_share"])},
    ]
    if markdown:
        shown = [{name: _rounded(value) for name, value in row.items()} for row in rows]
        typer.echo(f"{page.table(shown)}\n\n{page.table(shares)}")
    else:
        console.print_table(f"{result.name} against {truth.name}", rows)
        console.print_table("Shares", shares)


def _rounded(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value


def _table(path: Path) -> pl.DataFrame:
    """The columns of a file that can be compared."""
    from ngsim_assets.highway.scoring.given import READ

    readers = {".parquet": pl.scan_parquet, ".csv": pl.scan_csv}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise NotATable(path, "is of no known kind")
    if not path.is_file():
        raise NotATable(path, "is not there")
    try:
        rows = reader(path)
        held = [name for name in rows.collect_schema().names() if name in READ]
        return rows.select(held).collect()
    except (PolarsError, OSError) as error:
        raise NotATable(path, str(error).splitlines()[0]) from error


def _words(option: str) -> tuple[str, ...]:
    """The words of a comma-separated option, each once."""
    return tuple(dict.fromkeys(word.strip() for word in option.split(",") if word.strip()))


def _numbers(name: str, option: str, kind: type[T]) -> tuple[T, ...]:
    try:
        return tuple(kind(word) for word in _words(option))
    except ValueError as error:
        raise BadOption(f"{name} {option!r} is not a list of numbers", "as in 1,2,3") from error
