import itertools
import math

import numpy as np
import pandas as pd
import pytest
from test_config import ROOT

from doublemargin.records.statistics import std_of_hundreds, wilson_interval


def test_wilson_against_its_definition():
    """The ends are the shares p at which (p̂ − p)² = z² p (1 − p) / n."""
    for k, n in ((0, 200), (1, 200), (133, 200), (200, 200), (457, 1000)):
        low, high = wilson_interval(k, n)
        assert 0 <= low <= k / n <= high <= 1
        for p in (low, high):
            if 0 < p < 1:
                assert (k / n - p) ** 2 == pytest.approx(1.959964**2 * p * (1 - p) / n, rel=1e-9)


def test_wilson_refuses_what_is_no_share():
    for k, n in ((1, 0), (-1, 5), (6, 5)):
        with pytest.raises(ValueError, match="is not a share"):
            wilson_interval(k, n)


def test_std_of_hundreds_is_what_the_paper_prints():
    reported = pd.read_csv(ROOT / "resources/paper/reported.csv")
    cells = reported[reported["std"].notna() & (reported["status"] == "ok")]
    assert len(cells) > 20
    ours = [100 * std_of_hundreds(p / 100, n) for p, n in zip(cells["accuracy"], cells["n_points"], strict=True)]
    assert np.sqrt(np.mean((cells["std"] - ours) ** 2)) < 0.25  # percentage points


def test_std_of_hundreds_exactly_on_a_small_scale():
    """The formula for groups of 100 of 101: enumerate which one is left out."""
    points = [1.0] * 40 + [0.0] * 61
    means = [(sum(points) - p) / 100 for p in points]
    spread = math.sqrt(sum((a - b) ** 2 for a, b in itertools.product(means, means)) / (2 * 101**2))
    assert std_of_hundreds(40 / 101, 101) == pytest.approx(spread, rel=1e-9)
    assert std_of_hundreds(0.5, 100) == 0.0
