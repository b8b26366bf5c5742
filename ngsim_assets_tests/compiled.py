"""Compiles once what the tests need compiled: `python -m ngsim_assets_tests.compiled`.

What numba compiles it keeps beside the modules. Processes that begin at the same time would each
compile all of it, which takes one of them two minutes; after this they read it.

Belongs here: short ways through the kernels, by public functions. Does not belong here: anything
that a test relies on; without it the tests are slower, and the same.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def _whole() -> None:
    """A simulated recording through every stage, into a report."""
    ngsim = Path(sys.executable).parent / "ngsim"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "us101.csv"
        made = ["simulate", file, "--format", "export", "--minutes", "0.2", "--faults", "0.01"]
        environment = {**os.environ, "NGSIM_DATA": str(Path(folder) / "data")}
        for arguments in (made, ["ingest", file]):
            subprocess.run([ngsim, *arguments], env=environment, check=True, capture_output=True)


def _methods() -> None:
    """Every way to make motion of what was seen, the default first."""
    from ngsim_assets.highway.reconstruction.filters import Dedupe, Impute, Outliers, Smooth
    from ngsim_assets.highway.reconstruction.methods import METHODS, method_named
    from ngsim_assets_tests.highway import driven

    rows = driven.narrow(1, driven.stop_and_go(90))
    for label in METHODS:
        (Dedupe() | Outliers() | Impute() | Smooth(method_named(label))).apply(rows)


def main() -> None:
    """Both at the same time: what one needs last, the other one compiles first."""
    beside = multiprocessing.get_context("spawn").Process(target=_methods)
    beside.start()
    _whole()
    beside.join()
    if beside.exitcode != 0:
        raise SystemExit(beside.exitcode)


if __name__ == "__main__":
    main()
