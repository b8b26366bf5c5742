"""Months of file events under a process that is killed again and again: what is lost?

    python -m benchmarks.soak                     50 kills
    python -m benchmarks.soak --kills 200 --seed 7
    python -m benchmarks.soak --minutes 30        as many kills as fit

Files of an incoming folder appear, grow, are corrected, replaced, renamed, copied, deleted, come in
another order or format, or are bad. After each event, or a few, `ngsim` takes in and builds, rolls
back or vacuums; it is killed (SIGKILL) at random moments and before random changes of its files,
until it gets through. After every kill the folder may hold no half-written partition and nothing
lost; after every run that got through, every table must equal what an undisturbed run makes of the
same files; at the end all tables are compared with those of one undisturbed command. Exits 1 on
any fault. The same seed gives the same events and kills; moments by the clock vary with the
machine.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.soaking.checks import (
    DOUBLED,
    HALF,
    LOST,
    ORPHAN,
    OTHER,
    STALE,
    Checks,
    Fault,
    values_of,
)
from benchmarks.soaking.events import Incoming
from benchmarks.soaking.killing import Commands, Ended, Moment

_MOST_CHANGES = 150

_NEW_EVENTS_BEFORE_RECOVERY = 0.25
"""Share of kills after which more happens to the files before anybody runs the command again."""


@dataclass
class Soak:
    """One soak in `folder`, everything drawn from `seed`."""

    folder: Path
    seed: int
    pictures: bool = False
    kills: int = 0
    events: int = 0
    runs: int = 0
    recoveries: int = 0
    longest: float = 3.0
    faults: list[Fault] = field(default_factory=list)
    story: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311
        self.data = self.folder / "data"
        self.incoming = Incoming(self.folder / "incoming", self.folder / "archive", self.chance)
        self.checks = Checks(self.data, self.incoming)
        self.commands = self._commands(self.data)

    def step(self) -> None:
        """A few events, and commands until they get through."""
        # each step has numbers of its own, so that a moment missed changes one step, not all
        self.chance.seed(f"{self.seed} {self.runs}")
        self.runs += 1
        drawn = self.chance.random()
        known = sorted(self.checks.seen)
        if drawn < 0.12 and known:
            key = self.chance.choice(known)
            self._until_through(["rollback", key, "--to", "@-1"], may_refuse=True)
            self._until_through(["build", key, "--force"])
        elif drawn < 0.2:
            self._until_through(["vacuum"])
        elif drawn < 0.3:
            self._some_events()
            self._until_through(["register", str(self.incoming.folder)])
        elif drawn < 0.5:
            self._some_events()
            self._until_through(["ingest", str(self.incoming.folder)])
        else:
            self._some_events()
            self._until_through(["ingest"])
        # what an event has left undone that was killed with another command
        ended = self._run(["ingest"], Moment())
        self._found(self._ended_well(ended))
        self._found(self.checks.after_run())

    def _until_through(self, arguments: list[str], *, may_refuse: bool = False) -> None:
        was_killed = False
        while True:
            ended = self._run(arguments, self._moment())
            if not ended.killed or ended.hung:
                break
            was_killed = True
            self.kills += 1
            self._found(self.checks.after_kill())
            if self.chance.random() < _NEW_EVENTS_BEFORE_RECOVERY:
                self._some_events()
        self.recoveries += was_killed
        if not (may_refuse and ended.code == 1 and "Traceback" not in ended.said):
            self._found(self._ended_well(ended))
        self._found(self.checks.after_kill())

    def finish(self) -> None:
        """Compare with one undisturbed command, sweep, and look for what nobody names."""
        self._found(self._ended_well(self._run(["ingest"], Moment())))
        self._found(self.checks.after_run())
        self._found(self.checks.after_sweep())
        whole = self.folder / "undisturbed"
        handed = [self.incoming.archive / f"{file.sha256}.csv" for file in self.checks.sources()]
        ended = self._commands(whole).run(["ingest", *map(str, handed)])
        self._found(self._ended_well(ended))
        undisturbed = Checks(whole, self.incoming)
        ours, theirs = values_of(self.checks.platform), values_of(undisturbed.platform)
        for key in sorted(ours.keys() | theirs.keys()):
            if self.checks.delivered(key) != undisturbed.delivered(key):
                # files that now say the same came one after the other, which decides which of
                # others that contradict them is the later one; every run was checked for itself
                continue
            for name in theirs.get(key, ours.get(key, {})):
                if key not in ours or not ours[key][name].equals(theirs[key][name]):
                    self._found([Fault(LOST, f"{name} of {key} differs from an undisturbed run's")])

    def _commands(self, data: Path) -> Commands:
        environment = {
            "NGSIM_DATA": str(data),
            "NGSIM_INCOMING": str(self.incoming.folder),
            "NGSIM_SETTLE": "0",
            "NGSIM_KEEP_DAYS": "0",
            "NGSIM_KEEP_VERSIONS": "2",
            "DAGSTER_HOME": str(data / "dagster"),
        }
        return Commands(data, environment, pictures=self.pictures)

    def _some_events(self) -> None:
        for _ in range(self.chance.choice((1, 1, 1, 2, 3))):
            self._tell(self.incoming.next_event())
            self.events += 1

    def _moment(self) -> Moment:
        drawn = self.chance.random()
        if drawn < 0.4:
            return Moment(seconds=self.chance.uniform(0.05, self.longest))
        if drawn < 0.8:
            # most changes are made early, by the intake; later ones are rarer and as interesting
            return Moment(change=round(_MOST_CHANGES ** self.chance.random()))
        return Moment()

    def _run(self, arguments: list[str], moment: Moment) -> Ended:
        ended = self.commands.run(arguments, moment)
        if not ended.killed:
            self.longest = max(3.0, ended.seconds)
        end = "killed" if ended.killed else f"exit {ended.code}"
        said = " ".join(Path(argument).name for argument in arguments)
        self._tell(f"  {said}, to be killed {moment}: {end} after {ended.seconds:.2f} s")
        return ended

    def _ended_well(self, ended: Ended) -> list[Fault]:
        """A run that got through says so; it complains of bad files and of nothing else."""
        bad = self.incoming.bad()
        self.incoming.forget_moved()
        if ended.hung:
            return [Fault(OTHER, f"a run hung: {ended.said[-300:]}")]
        if "Traceback" in ended.said:
            return [Fault(OTHER, f"a traceback: {ended.said[-600:]}")]
        complaints = [
            line
            for line in ended.said.splitlines()
            if line.startswith("error:") and not any(name in line for name in bad)
        ]
        if ended.code == 0 and not complaints:
            return []
        if bad and all("each is named above" in line for line in complaints):
            return []
        return [Fault(OTHER, f"exit code {ended.code}: {' / '.join(complaints) or ended.said}")]

    def _found(self, faults: list[Fault]) -> None:
        for fault in faults:
            self._tell(f"  FAULT {fault.kind}: {fault.what}")
        self.faults += faults

    def _tell(self, line: str) -> None:
        self.story.append(line)
        if os.environ.get("SOAK_VERBOSE"):
            print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Soak, print what was tried and what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--minutes", type=float, help="go on for so long, whatever the kills")
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    parser.add_argument("--pictures", action="store_true", help="draw the reports' pictures too")
    parser.add_argument("--folder", type=Path, help="where it all goes (kept)")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    folder = options.folder or Path(tempfile.mkdtemp(prefix="ngsim-soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    soak = Soak(folder, seed, pictures=options.pictures)
    began = time.monotonic()
    print(f"seed {seed}, folder {folder}", file=sys.stderr)

    def goes_on() -> bool:
        if options.minutes is not None:
            return time.monotonic() - began < 60 * options.minutes
        return soak.kills < options.kills

    while goes_on() and not soak.faults:
        soak.step()
    soak.finish()
    report(soak, time.monotonic() - began)
    if soak.faults:
        print(f"\nhow it came (seed {seed}, folder {folder}):", *soak.story[-60:], sep="\n")
        raise SystemExit(1)
    if options.folder is None:
        shutil.rmtree(folder)


def report(soak: Soak, seconds: float) -> None:
    """Print the table of what was tried and what was found."""
    kinds = Counter(fault.kind for fault in soak.faults)
    print(f"{'file events':<28}{soak.events:6}")
    print(f"{'kills (SIGKILL)':<28}{soak.kills:6}")
    print(f"{'steps until all is current':<28}{soak.runs:6}")
    print(f"{'recoveries':<28}{soak.recoveries:6}")
    for kind in (LOST, DOUBLED, HALF, STALE, ORPHAN, OTHER):
        print(f"{'faults: ' + kind:<28}{kinds[kind]:6}")
    print(f"{'seconds':<28}{seconds:6.0f}")


if __name__ == "__main__":
    main()
