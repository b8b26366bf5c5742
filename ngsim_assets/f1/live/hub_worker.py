"""The process that listens to the live hub: FastF1's client, writing lines to a file.

It ends when its parent does, and when nothing came for a while: it is started again then.

Belongs here: starting that client. Does not belong here: keeping the process alive (hub.py).
"""

# FastF1 does not tell the types of what it has.
# pyright: basic

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Final

_SILENCE: Final = 120
"""Seconds without a message after which the client ends; the hub tells the time every 15 s."""


def main() -> None:
    """Listen, adding to the file that the first argument names."""
    threading.Thread(target=_with, args=(os.getppid(),), daemon=True).start()
    from fastf1.livetiming.client import SignalRClient

    SignalRClient(sys.argv[1], filemode="a", timeout=_SILENCE).start()


def _with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


if __name__ == "__main__":
    main()
