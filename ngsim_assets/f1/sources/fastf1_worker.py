"""A process that reads sessions by FastF1, one line of JSON a question and an answer.

FastF1 blocks, keeps its places and its cache in globals, and logs what goes wrong instead of
raising it. So it has a process of its own, and what is not there afterwards is told as missing.
It is the only one that reads its cache, which lies in a folder of its own.

    {"cache": …, "archive": …, "mirror": …, "schedule": …, "results": …}      once, first
    {"cache": …, "folder": …}              or so: a folder that is served to FastF1 on loopback
    {"year": 2018, "meeting": "Azerbaijan Grand Prix", "session": "Race", "folder": …}
    -> {"status": "read", "tables": {"laps": 901, …}, "missing": […]}
    -> {"status": "limited" | "failed", "said": "…"}

Belongs here: what is asked of FastF1, and its tables as files. Does not belong here: which
sessions are read (historical.py), what its columns mean (fastf1_tables.py).
"""

# FastF1 and pandas do not tell the types of what they have.
# pyright: basic

from __future__ import annotations

import functools
import json
import os
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, TextIO

TABLES: Final = {
    "laps": "laps",
    "weather": "weather_data",
    "track_status": "track_status",
    "session_status": "session_status",
    "race_control": "race_control_messages",
    "results": "results",
}
"""Names of files, and of FastF1's tables."""

_PLACES: Final = ("cache", "archive", "mirror", "schedule", "results")


def main() -> None:
    """Answer every line of the standard input until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is no answer
    places = json.loads(sys.stdin.readline())
    point_to({**places, **served(Path(places["folder"]))} if "folder" in places else places)
    for line in sys.stdin:
        answer(json.loads(line), answers)


def served(folder: Path) -> dict[str, str]:
    """Places of a server of this process, on loopback, which ends with it."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    return {
        "archive": url,
        "mirror": url,
        "schedule": f"{url}/schedule/",
        "results": f"{url}/results",
    }


def point_to(places: dict[str, str]) -> None:
    """Have FastF1 ask where the settings say, and cache below the downloads."""
    cache, *others = (places[name] for name in _PLACES)
    import fastf1
    from fastf1 import _api, events
    from fastf1.ergast import interface

    Path(cache).mkdir(parents=True, exist_ok=True)
    # its caches are pickles: the one of parsed data is never read, only answers are kept
    fastf1.Cache.enable_cache(cache, force_renew=True)
    _api.base_url, _api.base_url_mirror, schedule, interface.BASE_URL = others
    events._SCHEDULE_BASE_URL = schedule  # noqa: SLF001 - there is no other way


def answer(asked: dict[str, Any], answers: TextIO) -> None:
    """Read a session and tell what came of it."""
    from fastf1.exceptions import RateLimitExceededError

    try:
        told = read(asked)
    except RateLimitExceededError as error:
        told = {"status": "limited", "said": str(error)}
    except Exception as error:
        told = {"status": "failed", "said": f"{type(error).__name__}: {error}"}
    print(json.dumps(told), file=answers, flush=True)


def read(asked: dict[str, Any]) -> dict[str, object]:
    """Write the tables of a session into the folder; which they are."""
    import fastf1
    import polars as pl
    from fastf1.exceptions import DataNotLoadedError

    schedule = fastf1.get_event_schedule(asked["year"])
    events = schedule[schedule["EventName"] == asked["meeting"]]
    if len(events) != 1:
        return {"status": "failed", "said": f"its schedule has {asked['meeting']} {len(events)} x"}
    session = events.iloc[0].get_session(asked["session"])
    session.load(laps=True, telemetry=False, weather=True, messages=True)
    rows: dict[str, int] = {}
    missing: list[str] = []
    for name, attribute in TABLES.items():
        try:
            table = getattr(session, attribute)
        except DataNotLoadedError:
            table = None
        if table is None or not len(table):
            missing.append(name)
            continue
        texts = [column for column in table.columns if table[column].dtype == object]
        plain = table.assign(**{column: table[column].astype(str) for column in texts})
        frame = pl.from_pandas(plain.reset_index(drop=True))
        frame.write_parquet(Path(asked["folder"]) / f"{name}.parquet")
        rows[name] = frame.height
    return {"status": "read", "tables": rows, "missing": missing}


if __name__ == "__main__":
    main()
