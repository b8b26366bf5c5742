"""The incoming folder as a place: that there is one.

Belongs here: providing it. Does not belong here: looking at files (incoming.py), what a sensor
remembers (automation/watching.py).
"""

from __future__ import annotations

from contextlib import suppress

from ngsim_assets.settings import Settings


def provide_folder(settings: Settings) -> None:
    """Create the incoming folder below the data, so that there is a place to put files.

    One that `NGSIM_INCOMING` names is somebody else's: where it is missing, it may just not be
    mounted, and so may the data folder. What cannot be created is told of when it is looked at.
    """
    if settings.incoming is None and settings.data.is_dir():
        with suppress(OSError):
            settings.incoming_folder.mkdir(exist_ok=True)
