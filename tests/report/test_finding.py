"""What is said below a panel of the two rows that it compares."""

from dataclasses import replace

import pytest
from made_rows import cell, row, verdicts
from test_significance import mcnemar

from doublemargin.report.finding import finding


def found(*pair, rows, eps=("0", "0.3")):
    return finding({"eps_cert": list(eps)}, pair, rows)


def two(only_first, only_second, both=0, eps="0.3"):
    """Rows of Double Margin and IBP at ε = 0, where they are level, and at another."""
    level, strings = verdicts(0, 0, 100), verdicts(only_first, only_second, both)
    cells = zip(("dm", "ibp"), level, strings, strict=True)
    return [row(cell(name, zero, eps_cert="0"), cell(name, s, eps_cert=eps)) for name, zero, s in cells]


def test_one_training_each_is_mcnemars_test_at_the_largest_eps():
    said = found("dm", "ibp", rows=two(14, 4, 100))
    assert mcnemar(14, 4) == pytest.approx(0.0309, abs=5e-5)
    # Bonett and Price: (b − c)/(n + 2) ± 1.96 √((p + q − (p − q)²)/(n + 2)), p = 15/202, q = 5/202.
    assert said == (
        "At ε = 0.3, DM 57.0% [50.1, 63.7] against IBP 52.0% [45.1, 58.8]: DM is ahead by 5.0 points [+0.7, +9.2], "
        "p = 0.031."
    )
    assert found("ibp", "dm", rows=two(14, 4, 100)).endswith("IBP is behind by 5.0 points [−9.2, −0.7], p = 0.031.")
    assert found("dm", "ibp", rows=two(60, 0)).endswith("DM is ahead by 30.0 points [+23.3, +36.2], p < 0.001.")
    assert found("dm", "ibp", rows=two(3, 3)).endswith("DM is level [−2.7, +2.7], p = 1.000.")


def test_means_over_seeds_are_tested_by_sign_flips_of_the_points():
    """Of 4 points that differ by 1 and 2 by ½ all are in favour: p = 2/2⁶."""
    dm, ibp = two(4, 0)
    second = "1" * 6 + "0" * 194
    several = replace(dm, cells=(dm.cells[0], replace(dm.cells[1], verdicts=(*dm.cells[1].verdicts, second), models=2)))
    said = found("dm", "ibp", rows=[several, ibp])
    assert "DM 2.5% ± 0.7 (2) [" in said
    assert said.endswith("p = 0.031.")


def test_rows_of_one_method_are_told_apart_by_their_eps_train():
    strings = verdicts(30, 0)
    rows = [row(cell("dm", s, eps_train=eps)) for s, eps in zip(strings, ("0.1", "8_255"), strict=True)]
    said = found("dm/0.1", "dm/8_255", eps=["0.3"], rows=rows)
    assert "DM trained at 0.1 15.0%" in said
    assert "against DM trained at 8/255 0.0%" in said
    assert "DM trained at 0.1 is ahead by 15.0 points" in said
    assert found("dm", "dm/0.1", eps=["0.3"], rows=rows).startswith("At ε = 0.3, DM trained at 8/255 0.0%")


def test_what_cannot_be_tested():
    dm, ibp = two(14, 4)
    other = replace(ibp, cells=(ibp.cells[0], replace(ibp.cells[1], data="another copy")))
    assert found("dm", "ibp", rows=[dm, other]).endswith(
        "DM is ahead by 5.0 points, untested: they were certified on different copies of the data."
    )
    nothing = replace(ibp, cells=(ibp.cells[0], replace(ibp.cells[1], verdicts=(), data="")))
    assert found("dm", "ibp", rows=[dm, nothing]) == "At ε = 0.3, DM against IBP: not run."
