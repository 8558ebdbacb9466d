"""Each kind of statement about accuracies, on verdicts whose answer is known, and a claim's status."""

from dataclasses import replace

import pytest
from made_rows import cell, row, verdicts

from doublemargin.report.claims.accuracies import Ahead, Comparable, Gain, NeverBelow, Represents
from doublemargin.report.claims.claims import Claim
from doublemargin.report.claims.evidence import Outcome
from doublemargin.report.claims.judge import Status, judge, status
from doublemargin.report.claims.significance import subset_p
from doublemargin.report.paired import differences, paired_interval, paired_p

DM_IBP = ({"method": "dm"}, {"method": "ibp"})


def judged(part, cells):
    """A claim of one statement; each cell is in a row of its own."""
    return judge(Claim("name", "title", "words", "4.2", (part,)), [row(c) for c in cells])


def duel(only_first, only_second, both=50, eps="0.3", paper=(None, None)):
    strings = verdicts(only_first, only_second, both)
    return [cell(m, s, p, eps_cert=eps) for m, s, p in zip(("dm", "ibp"), strings, paper, strict=True)]


@pytest.mark.parametrize(
    ("only_first", "only_second", "outcome"),
    [
        (30, 10, Outcome.HOLDS),
        (10, 30, Outcome.FAILS),
        (12, 10, Outcome.OPEN),
        (10, 12, Outcome.OPEN),
        (6, 0, Outcome.HOLDS),
        (5, 0, Outcome.EMPTY),  # the exact p of 5 to 0 is 6.25%
        (0, 0, Outcome.EMPTY),
    ],
)
def test_ahead(only_first, only_second, outcome):
    found = judged(Ahead(*DM_IBP), duel(only_first, only_second, paper=(120, 90)))
    (finding,) = found.findings
    assert found.outcomes == [outcome]
    assert finding.ours == ((50 + only_first) / 200, (50 + only_second) / 200)
    assert (finding.wins, finding.losses) == (only_first, only_second)
    units = [1] * only_first + [-1] * only_second
    assert finding.p == (None if outcome == Outcome.EMPTY else paired_p(units))
    assert finding.interval == paired_interval(units + [0] * (200 - len(units)))
    assert (finding.paper, finding.as_claimed) == ((0.6, 0.45), True)
    assert finding.where == "mnist small, ε_train 0.3, ε 0.3"


def test_holm_over_the_comparisons_of_a_claim():
    """15 to 4 is significant alone, and not as one of three such."""
    p = paired_p([1] * 15 + [-1] * 4)
    assert 0.017 < p < 0.05
    assert judged(Ahead(*DM_IBP), duel(15, 4)).status == Status.REPRODUCED
    three = judged(Ahead(*DM_IBP), [c for eps in ("0.1", "0.2", "0.3") for c in duel(15, 4, eps=eps)])
    assert three.corrected == pytest.approx([3 * p] * 3)
    assert three.status == Status.UNDECIDED


@pytest.mark.parametrize(
    ("outcomes", "exceptions", "expected"),
    [
        ("", 0, Status.NOT_RUN),
        ("h", 0, Status.REPRODUCED),
        ("ho", 0, Status.UNDECIDED),
        ("he", 0, Status.REPRODUCED),  # both at the floor does not count
        ("hee", 0, Status.UNDECIDED),  # mostly without information
        ("hm", 0, Status.REPRODUCED),  # half of the comparisons are enough
        ("hmm", 0, Status.NOT_RUN),
        ("fmm", 0, Status.NOT_REPRODUCED),  # a refutation needs no others
        ("hhhhhhhhhf", 0, Status.NOT_REPRODUCED),
        ("hhhhhhhhhf", 0.1, Status.REPRODUCED),  # "nearly all" leaves room for a tenth
        ("hhhhhhhhhfe", 0.1, Status.REPRODUCED),
        ("hhhhhhhhf", 0.1, Status.NOT_REPRODUCED),
        ("hhhhhhhhff", 0.1, Status.NOT_REPRODUCED),
    ],
)
def test_the_status_follows_the_outcomes(outcomes, exceptions, expected):
    found = {"h": Outcome.HOLDS, "f": Outcome.FAILS, "o": Outcome.OPEN, "e": Outcome.EMPTY, "m": Outcome.MISSING}
    assert status([found[outcome] for outcome in outcomes], exceptions) == expected


def test_the_papers_floor_says_nothing():
    (finding,) = judged(Ahead(*DM_IBP), duel(0, 0, both=0, paper=(0, 0))).findings
    assert finding.as_claimed is None


def test_what_is_missing_is_named_and_other_copies_of_the_data_are_not_paired():
    first, second = duel(40, 0)
    found = judged(Ahead(*DM_IBP), [first, replace(second, verdicts=(), data="")])
    assert (found.outcomes, found.run) == ([Outcome.MISSING], 0)
    assert found.missing == ["ibp at ε_train 0.3 on mnist small (cnn-cert-relu, linf, 200 points)"]
    assert judged(Ahead(*DM_IBP), [first, replace(second, data="other")]).outcomes == [Outcome.MISSING]


def test_means_over_models_are_compared_point_by_point():
    """One model against three: differences in thirds."""
    one, three = cell("dm_ensemble", "1100"), cell("dm", ("1010", "1000", "1001"), models=3)
    assert differences(one, three) == ([0, 3, -1, -1], 3)
    assert three.ours.value == 5 / 12


@pytest.mark.parametrize(
    ("only_first", "only_second", "or_better", "outcome", "paper", "as_claimed"),
    [
        (4, 4, False, Outcome.HOLDS, (120, 100), False),
        (4, 4, True, Outcome.HOLDS, (120, 100), True),
        (12, 12, False, Outcome.HOLDS, (None, None), None),  # ±4.8 points
        (14, 14, False, Outcome.OPEN, (None, None), None),  # ±5.2
        (40, 4, True, Outcome.HOLDS, (100, 109), True),
        (40, 4, False, Outcome.FAILS, (None, None), None),
        (4, 40, True, Outcome.FAILS, (100, 111), False),
        (0, 12, True, Outcome.OPEN, (None, None), None),  # 6 points behind: not clearly beyond 5
    ],
)
def test_comparable(only_first, only_second, or_better, outcome, paper, as_claimed):
    found = judged(Comparable(*DM_IBP, or_better=or_better), duel(only_first, only_second, paper=paper))
    assert found.outcomes == [outcome]
    assert found.findings[0].as_claimed is as_claimed


@pytest.mark.parametrize(
    ("zero", "ibp", "expected", "losses"),
    [
        ("1100", "1000", Status.REPRODUCED, 0),
        ("1100", "1100", Status.REPRODUCED, 0),
        ("1100", "1010", Status.NOT_REPRODUCED, 1),  # two each, but not the same: counts alone would not show it
        (("1000", "1110"), ("1100", "1000"), Status.NOT_REPRODUCED, 1),  # in the mean over two models nothing is below
        ("1100", (), Status.NOT_RUN, None),
    ],
)
def test_a_single_counterexample_refutes_a_theorem(zero, ibp, expected, losses):
    theorem = NeverBelow({"certifier": "cnn-cert-zero"}, {"certifier": "ibp"})
    found = judged(theorem, [cell("dm", zero, certifier="cnn-cert-zero"), cell("dm", ibp, certifier="ibp")])
    assert (found.status, found.findings[0].losses) == (expected, losses)


@pytest.mark.parametrize(
    ("whole", "sample", "outcome"),
    [(9344, 190, Outcome.HOLDS), (9344, 170, Outcome.FAILS), (0, 0, Outcome.EMPTY)],  # the paper's: 93.44% and 95.0%
)
def test_a_sample_represents_the_whole(whole, sample, outcome):
    strings = ("1" * n + "0" * (of - n) for n, of in ((whole, 10000), (sample, 200)))
    cells = [cell("dm", s, table=t, points=len(s)) for t, s in zip(("table10", "table8"), strings, strict=True)]
    found = judged(Represents({"table": "table10"}, {"table": "table8"}, free=("points",)), cells)
    assert found.outcomes == [outcome]
    assert found.findings[0].p == (subset_p(sample, 200, whole, 10000) if whole else None)


def gain(dm, dm_l1, ibp):
    """The best of two own methods against IBP. The paper's: 80.0 − 30.0 = 50 points. A baseline is better than all."""
    cells = [cell("dm", dm, 100), cell("dm_l1", dm_l1, 160), cell("ibp", ibp, 60)]
    rows = [*(row(c) for c in cells), row(cell("l1", "1" * 200, 200), baseline=True)]
    part = Gain({"table": "table2"}, "0.3", ("dm", "dm_l1"))
    return judge(Claim("name", "title", "words", "4.2", (part,)), rows)


@pytest.mark.parametrize(
    ("ours", "expected"),
    [
        (100, Status.REPRODUCED),
        (125, Status.REPRODUCED),  # more is no less
        (90, Status.REPRODUCED),  # 45 against 50 points: the samplings explain it
        (60, Status.NOT_REPRODUCED),  # far ahead, but not by 50 points
        (0, Status.NOT_REPRODUCED),
    ],
)
def test_a_gain_must_reach_the_papers(ours, expected):
    other = "1" * 20 + "0" * 180
    found = gain(other, "1" * (ours + 20) + "0" * (180 - ours), other)
    (finding,) = found.findings
    assert finding.paper == (0.8, 0.3)
    assert finding.ours == ((ours + 20) / 200, 0.1)
    assert found.status == expected
    assert finding.remark == f"the paper: DM_L1 against IBP; ours: {'DM_L1' if ours else 'DM'} against IBP"


def test_a_gain_that_is_not_significant_is_undecided_and_one_that_is_not_run_has_no_status():
    first, second = verdicts(14, 10, 100)
    close = [cell("dm", first, 114), cell("ibp", second, 110)]
    assert judged(Gain({"table": "table2"}, "0.3", ("dm",)), close).status == Status.UNDECIDED
    missing = gain("1" * 200, "1" * 200, ())
    assert missing.status == Status.NOT_RUN
    assert missing.missing == ["ibp at ε_train 0.3 on mnist small (cnn-cert-relu, linf, 200 points)"]


@pytest.mark.parametrize(
    ("which", "mnist", "cifar"),
    [
        ({}, ["0", "0.01", "0.07", "0.1", "0.3"], ["0", "1_255"]),
        ({"above": "0.07"}, ["0.1", "0.3"], []),
        ({"least": "0.07"}, ["0.07", "0.1", "0.3"], []),
        ({"only": "0"}, ["0"], ["0"]),
        ({"largest": True}, ["0.3"], ["1_255"]),
        ({"trained": True}, ["0.3"], []),
    ],
)
def test_which_eps_a_claim_speaks_of(which, mnist, cifar):
    radii = {"mnist": ["0", "0.01", "0.07", "0.1", "0.3"], "cifar10": ["0", "1_255"]}
    cells = [cell(m, "1", dataset=d, eps_cert=e) for m in ("dm", "ibp") for d, some in radii.items() for e in some]
    pairs = Ahead(*DM_IBP, **which).pairs(cells)
    assert all(a.eps_cert == b.eps_cert for a, b in pairs)
    assert [a.eps_cert for a, _ in pairs if a.dataset == "mnist"] == mnist
    assert [a.eps_cert for a, _ in pairs if a.dataset == "cifar10"] == cifar


def test_pairs_differ_only_in_what_is_named():
    cells = [cell("dm", "1"), cell("ibp", "1", eps_train="0.1"), cell("ibp", "1", arch="medium")]
    assert Ahead(*DM_IBP).pairs(cells) == []
    assert len(Ahead(*DM_IBP, free=("eps_train",)).pairs(cells)) == 1
