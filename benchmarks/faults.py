"""Downloads under many random sequences of faults: how do they end?

    python -m benchmarks.faults                        2,000 schedules
    python -m benchmarks.faults --schedules 200 --first 5000

Each schedule is a list of faults that befall the requests of one download, from a local server that
then gets well, or does not. A download has to end with the bytes of the server or with a named
failure, its record may claim nothing that is not there, and nothing may hang; exits 1 where one
does not hold, and names the schedule. The same number draws the same schedule; when a stall is
noticed, and what a second connection gets done meanwhile, varies with the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from ngsim_assets_tests.acquisition.transfer.schedules import Outcome, play_all


def tally(outcomes: list[Outcome]) -> list[str]:
    """A line for each fault: schedules that met it, how many ended whole, how the others did."""
    ended: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for outcome in outcomes:
        for kind in set(outcome.befell) or {"no fault"}:
            ended[kind][outcome.ended] += 1
    lines = [f"{'fault':18} {'met':>6} {'whole':>6}  failed"]
    for kind, counts in sorted(ended.items()):
        named = ", ".join(
            f"{name} {count}" for name, count in counts.most_common() if name != "whole"
        )
        lines.append(f"{kind:18} {counts.total():6,} {counts['whole']:6,}  {named}")
    return lines


def main() -> None:
    """Play, tell, and exit 1 if anything did not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--schedules", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first schedule")
    parser.add_argument("--at-once", type=int, default=16)
    given = parser.parse_args()
    # every client would read the certificates of the machine, which nothing here needs
    os.environ["SSL_CERT_FILE"] = os.devnull
    numbers = range(given.first, given.first + given.schedules)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        played = asyncio.run(play_all(numbers, Path(folder), at_once=given.at_once))
    seconds = time.monotonic() - began

    outcomes = [outcome for _, outcome in played]
    print("\n".join(tally(outcomes)))
    ended = Counter(outcome.ended for outcome in outcomes)
    print(
        f"\n{len(played):,} schedules in {seconds:.0f} s,"
        f" {sum(outcome.requests for outcome in outcomes):,} requests,"
        f" {sum(len(outcome.befell) for outcome in outcomes):,} faults"
    )
    print(f"whole {ended.pop('whole', 0):,}; " + ", ".join(f"{k} {n}" for k, n in ended.items()))
    print(f"went on in a new client: {sum(outcome.resumed for outcome in outcomes):,}")
    broken = [(schedule, outcome) for schedule, outcome in played if outcome.broken]
    for schedule, outcome in broken:
        print(f"\nBROKEN {'; '.join(outcome.broken)}\n  {schedule}\n  {outcome}")
    print(f"neither whole nor named, or a record that lies: {len(broken)}")
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
