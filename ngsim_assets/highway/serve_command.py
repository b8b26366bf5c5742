"""`ngsim serve`: what watches the platform from outside asks here.

Belongs here: the command, and what of the highway is put behind which address. Does not belong
here: the server (observability/serving.py), what is checked (health.py).
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Annotated

import typer

from ngsim_assets import __version__, console
from ngsim_assets.highway import measuring, stages
from ngsim_assets.highway.health import HighwayHealth
from ngsim_assets.observability.health import Check, Examination
from ngsim_assets.observability.redaction import Redactor
from ngsim_assets.observability.serving import Served, is_loopback, serve
from ngsim_assets.settings import Settings, load_settings

Daemon = Callable[[Settings], Check]

_LIBRARIES = ("dagster", "polars", "deltalake", "pyarrow", "duckdb", "aiohttp")


def add_to(app: typer.Typer, daemon: Daemon) -> None:
    """Register the command on `app`; `daemon` tells whether Dagster's daemon lives."""

    @app.command("serve", epilog="Example: ngsim serve --port 9464")
    def _serve(
        host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
        port: Annotated[int, typer.Option(help="Port; 0: any that is free.", min=0, max=65535)] = (
            9464
        ),
    ) -> None:
        """Serve /metrics for Prometheus, /health, /ready and /version by HTTP, until it is stopped.

        /health answers 503 where something is failing, with every check and what it found; what is
        degraded works, and somebody should look. It listens on this machine only unless --host
        names another address; whoever reaches that can read everything that is told.
        """
        settings = load_settings()
        if not is_loopback(host):
            console.note(f"warning: whoever reaches {host} can ask; there is no password")
        asyncio.run(
            serve(
                served(settings, daemon),
                host,
                port,
                lambda url: console.note(f"{url}: /metrics /health /ready /version"),
            )
        )


def served(settings: Settings, daemon: Daemon) -> Served:
    """What is told of the platform that `settings` describe."""
    highway = HighwayHealth(settings)
    return Served(
        health=Examination({**highway.checks(), "daemon": lambda: daemon(settings)}),
        ready=Examination(highway.readiness()),
        exposition=lambda health: measuring.exposition(settings, health),
        version=versions,
        redactor=Redactor.of(settings),
    )


def versions() -> Mapping[str, object]:
    """Of everything that decides what is computed."""
    return {
        "ngsim_assets": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in _LIBRARIES},
        "stages": dict(stages.CODE_VERSIONS),
    }
