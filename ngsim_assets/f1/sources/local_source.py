"""What is taken in from files of this machine, all parts of it.

Belongs here: the ingestor of local places. Does not belong here: those places (recorded.py,
local_files.py), finding files (taking_in.py).
"""

from __future__ import annotations

from ngsim_assets.f1.sources.feed_source import FeedSource
from ngsim_assets.f1.sources.places import Parts


class LocalSource(FeedSource):
    """Sessions as they were put on this machine; a local place knows by itself what it has."""

    name = "f1-files"
    parts = Parts(topics=(), endpoints=())
