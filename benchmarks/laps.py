"""Laps of real sessions against FastF1's, and how fast they are made.

    python benchmarks/laps.py DATA

DATA is a folder with `livetiming/` (the tree of the archive) and `fastf1_laps/` (tables that
FastF1 made of some of its sessions). Prints a table per session and every difference; rates are per
second of processor time.
"""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import polars as pl

from ngsim_assets.f1.clock import clock_of
from ngsim_assets.f1.origin import Origin
from ngsim_assets.f1.reading.feed_lines import read_folder
from ngsim_assets.f1.sessions import of_messages
from ngsim_assets.f1.timing.comparison import EXPLANATIONS, Comparison, compare, fastf1_laps
from ngsim_assets.f1.timing.session import fold_session
from ngsim_assets.f1.validate import Validated, validated_laps


def main() -> None:
    data = Path(sys.argv[1])
    compared: list[Comparison] = []
    print(
        "session | messages | read/s | folded/s | checked/s | laps | FastF1 | timed | equal"
        " | of told"
    )
    for table in sorted((data / "fastf1_laps").glob("*.laps.csv.gz")):
        folder = folder_of(data / "livetiming", table.name.removesuffix(".laps.csv.gz"))
        began = time.process_time()
        readings = [reading for _, reading in read_folder(folder, "session")]
        messages = [message for reading in readings for message in reading.messages]
        read = time.process_time()
        info = of_messages(messages)
        assert info is not None
        clock = clock_of(messages, info)
        tables, account = fold_session(messages, Origin(info.key, "livetiming"), clock=clock)
        folded = time.process_time()
        assert account.complete
        checked, took = _quickest(tables.laps, race=info.kind == "race")
        comparison = compare(tables.laps, fastf1_laps(table))
        compared.append(comparison)
        lines = sum(reading.lines for reading in readings)
        assert checked.rows == tables.laps.height
        print(
            f"{info.key} | {len(messages):,} | {lines / (read - began):,.0f}"
            f" | {len(messages) / (folded - read):,.0f} | {checked.rows / took:,.0f}"
            f" | {comparison.laps} | {comparison.reference} | {comparison.timed}"
            f" | {comparison.equal} ({comparison.share:.2%}) | {comparison.share_of_told:.2%}"
        )
    timed = sum(item.timed for item in compared)
    equal = sum(item.equal for item in compared)
    untold = sum(item.untold for item in compared)
    print(
        f"all: {equal} of {timed} timed laps equal ({equal / timed:.2%}), "
        f"{equal / (timed - untold):.2%} of those the feed tells"
    )
    for why, meaning in EXPLANATIONS.items():
        found = sum(item.reasons.get(why, 0) for item in compared)
        print(f"{found:4} laps {why}: {meaning}")
    differences = pl.concat(item.differences for item in compared)
    with pl.Config(tbl_rows=-1, fmt_str_lengths=20):
        print(differences)


def _quickest(laps: pl.DataFrame, *, race: bool) -> tuple[Validated, float]:
    """The laps judged, and the seconds that took at best: the first time compiles the rules."""
    times: list[float] = []
    while True:
        began = time.process_time()
        checked = validated_laps(laps, race=race)
        times.append(time.process_time() - began)
        if len(times) == 3:
            return checked, min(times)


def folder_of(archive: Path, name: str) -> Path:
    """The archive's folder of `2018_Azerbaijan_Grand_Prix_Race`."""
    year = name[:4]
    for folder in sorted((archive / year).glob("*/*")):
        meeting, session = (re.sub(r"^\d{4}-\d\d-\d\d_", "", part) for part in folder.parts[-2:])
        if name == f"{year}_{meeting}_{session}":
            return folder
    raise SystemExit(f"no folder of {name} below {archive}")


if __name__ == "__main__":
    main()
