"""What can keep a session from being received, each with what to do.

Belongs here: failures of streams, of the live hub and of a session as a whole. Does not belong
here: a line that is no message (reading/messages.py), an ingestor that failed: health tells that.
"""

from __future__ import annotations

from ngsim_assets.f1.errors import F1Error


class SessionIsLive(F1Error):
    """A session that another process is receiving."""

    def __init__(self, session: str) -> None:
        self.session = session
        super().__init__(
            f"{session} is being received by another process",
            "see `ngsim f1 health`, and stop that process first",
        )


class LiveSwitchedOff(F1Error):
    """The live hub may not be connected to."""

    exit_code = 2

    def __init__(self) -> None:
        super().__init__(
            "connecting to the live hub of Formula 1 is switched off",
            "set NGSIM_F1_LIVE=true, or replay a session: ngsim f1 live --replay DIR",
        )


class CannotReplay(F1Error):
    """Files that do not make one session in order of time."""

    exit_code = 2

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(
            f"{path} cannot be replayed: {reason}",
            "name a folder of .jsonStream files of one session, or a recording",
        )


class StreamLost(F1Error):
    """A stream that cannot be followed any longer."""

    def __init__(self, stream: str, reason: str) -> None:
        super().__init__(
            f"{stream} ended: {reason}",
            "run the same command again: it goes on with what was received so far",
        )


class NothingReceived(F1Error):
    """A session of which no line came."""

    def __init__(self, session: str) -> None:
        super().__init__(
            f"nothing was received of {session}", "check the stream, and run the same command again"
        )
