"""What keeps tables up to date by itself, whichever domain they are of; knows no domain.

Without Dagster: `versions` (what a partition holds and what it was made of), `failures` (builds
that have to be looked at), `living_runs` (which runs are dead), `watching` (when a watched folder
is tried again). With it: `conditions` (what is out of date), `sensors` (failed, mended and lost
runs), `instances` (what an instance is told), `assets`, `checks`.
"""
