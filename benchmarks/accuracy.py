"""Accuracy of validation and cleaning against simulated truth, as docs/ACCURACY.md.

    python -m benchmarks.accuracy            every scenario: some minutes on two cores
    python -m benchmarks.accuracy --quick    what `ngsim score` measures

Every site, congestion, noise and fault rate, every method; seeds that nothing was tuned on. Ends
with exit code 1 if a target is missed, and names it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from ngsim_assets import console
from ngsim_assets.highway.score import FULL, QUICK, missed, score
from ngsim_assets.highway.scoring.page import page
from ngsim_assets.storage.atomic import write_atomically

PAGE = Path(__file__).resolve().parent.parent / "docs" / "ACCURACY.md"
COMMAND = "python -m benchmarks.accuracy"


def main() -> None:
    """Measure, write the page, name what was missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one site, short recordings")
    parser.add_argument("--output", type=Path, default=PAGE, help="page to write")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    started = time.perf_counter()

    with console.step_progress() as progress:
        bar = progress.add_task("recordings", total=plan.trials)

        def show(done: int, _: int) -> None:
            progress.update(bar, completed=done)

        measured = score(plan, progress=show)
    command = f"{COMMAND} --quick" if options.quick else COMMAND
    write_atomically(options.output, page(measured, command))
    print(f"{options.output}: {plan.trials} recordings, {time.perf_counter() - started:.0f} s")
    failed = missed(measured.verdicts)
    for verdict in failed:
        print(f"missed: {verdict.target}: {verdict.figure} at {verdict.where}")
    raise SystemExit(bool(failed))


if __name__ == "__main__":
    main()
