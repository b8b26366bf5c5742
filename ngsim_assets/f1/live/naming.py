"""Of which session a stream is: what its first SessionInfo says.

Belongs here: looking for it. Does not belong here: what SessionInfo means (sessions.py).
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from ngsim_assets.f1.errors import SessionUnknown
from ngsim_assets.f1.keys import SessionKey
from ngsim_assets.f1.live.errors import StreamLost
from ngsim_assets.f1.live.replay import items
from ngsim_assets.f1.live.streams import Stream
from ngsim_assets.f1.reading.messages import Message
from ngsim_assets.f1.sessions import of_messages


async def session_of(stream: Stream, seconds: float) -> SessionKey:
    """The session of a stream, within so many seconds. Its lines are asked for again afterwards.

    Raises SessionUnknown where the stream ends without telling it, StreamLost where that takes
    longer.
    """
    try:
        async with (
            asyncio.timeout(seconds),
            aclosing(items(stream.lines(), "", stream.name)) as told,
        ):
            async for item in told:
                if isinstance(item, Message) and item.topic == "SessionInfo":
                    info = of_messages([item])
                    if info is not None:
                        return info.key
    except TimeoutError:
        raise StreamLost(stream.name, f"it did not tell its session within {seconds:g} s") from None
    raise SessionUnknown(stream.name, "no SessionInfo in it")
