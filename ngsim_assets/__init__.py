"""Vehicle trajectories as Dagster assets: raw recordings in, trustworthy tables out."""

__version__ = "0.1.0"
