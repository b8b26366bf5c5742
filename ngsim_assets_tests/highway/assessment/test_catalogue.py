"""Every metric says what it is, whose it is, and what it is held against."""

from __future__ import annotations

import pytest

from ngsim_assets.highway.assessment.catalogue import catalogue, metrics_page
from ngsim_assets.highway.sites import SITES, Site


@pytest.mark.parametrize("site", SITES.values(), ids=SITES)
def test_metrics_are_named_once_and_explained(site: Site) -> None:
    metrics = [metric for section in catalogue(site) for metric in section.metrics]
    assert len({metric.name for metric in metrics}) == len(metrics)
    for metric in metrics:
        assert metric.name.replace("_", "").isalnum()
        assert metric.name == metric.name.lower()
        assert metric.title
        assert metric.definition.endswith(".")
        assert metric.source
        if metric.limit is not None:
            assert metric.limit.basis
            assert set(metric.limited_at) & set(metric.stages)


def test_sections_are_the_same_everywhere() -> None:
    """The page lists sites side by side, section by section."""
    names = {tuple(section.name for section in catalogue(site)) for site in SITES.values()}
    assert len(names) == 1


def test_the_page_has_every_metric_of_every_site() -> None:
    page = metrics_page()
    for site in SITES.values():
        for section in catalogue(site):
            assert f"## {section.title}" in page
            for metric in section.metrics:
                assert f"| `{metric.name}`" in page
    assert "`wave_speed`<br>(us-101, i-80)" in page
