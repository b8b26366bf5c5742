"""A process that fetches a shelf: `python -m … DATA URL`; prints its result as JSON."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from ngsim_assets.acquisition.pipeline import AsyncETLPipeline
from ngsim_assets_tests.acquisition.shelves import ShelfSource, quick

if __name__ == "__main__":
    # a shell that runs the tests in the background has it ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    pipeline = AsyncETLPipeline(quick(Path(sys.argv[1])))
    (result,) = asyncio.run(pipeline.run([ShelfSource(sys.argv[2])]))
    print(json.dumps(result.summary()))
