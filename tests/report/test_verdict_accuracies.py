"""Each kind of statement about accuracies, on verdicts whose answer is known."""

from dataclasses import replace

import pytest
from made_rows import cell, evidence, row, verdicts

from doublemargin.report.claims.accuracies import Ahead, Comparable, Gain, NeverBelow, Represents
from doublemargin.report.claims.claims import Claim
from doublemargin.report.claims.evidence import EpsRange, Evidence, Outcome, Pairs
from doublemargin.report.claims.judge import Status, judge
from doublemargin.report.claims.significance import subset_p
from doublemargin.report.paired import differences, paired_interval, paired_p

DM_IBP = Pairs({"method": "dm"}, {"method": "ibp"})


def judged(part, cells, exceptions=0.0):
    given = cells if isinstance(cells, Evidence) else evidence(*cells)
    return judge(Claim("name", "title", "words", "4.2", (part,), exceptions), given)


def duel(only_first, only_second, both=50, eps="0.3", paper=(None, None)):
    strings = verdicts(only_first, only_second, both)
    return [cell(m, s, p, eps_cert=eps) for m, s, p in zip(("dm", "ibp"), strings, paper, strict=True)]


def test_ahead_reports_the_pairs_numbers():
    (finding,) = judged(Ahead(DM_IBP), duel(30, 10, paper=(120, 90))).findings
    assert finding.ours == (0.4, 0.3)
    assert finding.paper == (0.6, 0.45)
    assert (finding.wins, finding.losses) == (30, 10)
    assert finding.p == paired_p([1] * 30 + [-1] * 10)
    assert finding.interval == paired_interval([1] * 30 + [-1] * 10 + [0] * 160)
    assert finding.as_claimed is True
    assert finding.where == "mnist small, ε_train 0.3, ε 0.3"


@pytest.mark.parametrize(
    ("only_first", "only_second", "outcome", "status"),
    [
        (30, 10, Outcome.HOLDS, Status.REPRODUCED),
        (10, 30, Outcome.FAILS, Status.NOT_REPRODUCED),
        (12, 10, Outcome.OPEN, Status.UNDECIDED),
        (10, 12, Outcome.OPEN, Status.UNDECIDED),
        (6, 0, Outcome.HOLDS, Status.REPRODUCED),
        (5, 0, Outcome.EMPTY, Status.UNDECIDED),  # the exact p of 5 to 0 is 6.25%
        (0, 0, Outcome.EMPTY, Status.UNDECIDED),
    ],
)
def test_ahead(only_first, only_second, outcome, status):
    found = judged(Ahead(DM_IBP), duel(only_first, only_second))
    assert (found.outcomes, found.status) == ([outcome], status)


def test_holm_over_the_comparisons_of_a_claim():
    """15 to 4 is significant alone, and not as one of three such."""
    alone = judged(Ahead(DM_IBP), duel(15, 4))
    p = paired_p([1] * 15 + [-1] * 4)
    assert 0.017 < p < 0.05
    assert alone.status == Status.REPRODUCED
    three = judged(Ahead(DM_IBP), [c for eps in ("0.1", "0.2", "0.3") for c in duel(15, 4, eps=eps)])
    assert three.corrected == pytest.approx([3 * p] * 3)
    assert three.status == Status.UNDECIDED


def test_both_at_the_floor_does_not_count():
    cells = [*duel(40, 0, eps="0.2"), *duel(0, 0, both=0, eps="0.4", paper=(0, 0))]
    found = judged(Ahead(DM_IBP), cells)
    assert (found.status, found.outcomes) == (Status.REPRODUCED, [Outcome.HOLDS, Outcome.EMPTY])
    assert found.findings[1].as_claimed is None


def test_a_claim_that_is_mostly_without_information_is_undecided():
    cells = [*duel(40, 0, eps="0.1"), *(c for eps in ("0.2", "0.3") for c in duel(0, 0, both=0, eps=eps))]
    assert judged(Ahead(DM_IBP), cells).status == Status.UNDECIDED


def test_what_is_missing_is_named():
    first, second = duel(40, 0)
    found = judged(Ahead(DM_IBP), [first, replace(second, verdicts=(), data="")])
    assert (found.status, found.run) == (Status.NOT_RUN, 0)
    assert found.missing == ["ibp at ε_train 0.3 on mnist small (cnn-cert-relu, linf, 200 points)"]
    assert judged(Ahead(DM_IBP), []).status == Status.NOT_RUN


def test_half_of_the_comparisons_are_enough_and_a_refutation_needs_none():
    missing = [replace(c, verdicts=(), data="", eps_cert="0.2") for c in duel(1, 1)]
    more = [replace(c, eps_cert="0.1") for c in missing]
    assert judged(Ahead(DM_IBP), [*duel(40, 0), *missing]).status == Status.REPRODUCED
    assert judged(Ahead(DM_IBP), [*duel(40, 0), *missing, *more]).status == Status.NOT_RUN
    assert judged(Ahead(DM_IBP), [*duel(0, 40), *missing, *more]).status == Status.NOT_REPRODUCED


def test_cells_of_other_copies_of_the_data_are_not_paired():
    first, second = duel(40, 0)
    found = judged(Ahead(DM_IBP), [first, replace(second, data="other")])
    assert found.outcomes == [Outcome.MISSING]


def test_nearly_all_leaves_room_for_a_tenth():
    radii = [f"0.{n:02}" for n in range(10, 20)]
    nine = [c for eps in radii[:9] for c in duel(60, 0, eps=eps)]
    against = duel(0, 60, eps=radii[9])
    assert judged(Ahead(DM_IBP), [*nine, *against], exceptions=0.1).status == Status.REPRODUCED
    assert judged(Ahead(DM_IBP), [*nine, *against]).status == Status.NOT_REPRODUCED
    twice = [*nine[2:], *duel(0, 60, eps=radii[0]), *against]
    assert judged(Ahead(DM_IBP), twice, exceptions=0.1).status == Status.NOT_REPRODUCED


def test_means_over_models_are_compared_point_by_point():
    """One model against three: differences in thirds."""
    one, three = cell("dm_ensemble", "1100"), cell("dm", ("1010", "1000", "1001"), models=3)
    units, unit = differences(one, three)
    assert (units, unit) == ([0, 3, -1, -1], 3)
    assert three.ours.value == 5 / 12


@pytest.mark.parametrize(
    ("only_first", "only_second", "or_better", "outcome"),
    [
        (4, 4, False, Outcome.HOLDS),
        (4, 4, True, Outcome.HOLDS),
        (12, 12, False, Outcome.HOLDS),  # ±4.8 points
        (14, 14, False, Outcome.OPEN),  # ±5.2
        (40, 4, True, Outcome.HOLDS),
        (40, 4, False, Outcome.FAILS),
        (4, 40, True, Outcome.FAILS),
        (0, 12, True, Outcome.OPEN),  # 6 points behind: not clearly beyond 5
    ],
)
def test_comparable(only_first, only_second, or_better, outcome):
    found = judged(Comparable(DM_IBP, or_better), duel(only_first, only_second))
    assert found.outcomes == [outcome]
    if outcome == Outcome.HOLDS:
        low, high = found.findings[0].interval
        assert low > -0.05
        assert or_better or high < 0.05


def test_comparable_in_the_papers_numbers():
    said = [
        judged(Comparable(DM_IBP, better), duel(4, 4, paper=paper)).findings[0].as_claimed
        for paper, better in (((100, 109), True), ((100, 111), True), ((120, 100), True), ((120, 100), False))
    ]
    assert said == [True, False, True, False]


ZERO_IBP = Pairs({"certifier": "cnn-cert-zero"}, {"certifier": "ibp"})


def test_a_single_counterexample_refutes_a_theorem():
    def both(zero, ibp):
        return [cell("dm", zero, certifier="cnn-cert-zero"), cell("dm", ibp, certifier="ibp")]

    assert judged(NeverBelow(ZERO_IBP), both("1100", "1000")).status == Status.REPRODUCED
    assert judged(NeverBelow(ZERO_IBP), both("1100", "1100")).status == Status.REPRODUCED
    # Two certified each, but not the same: the counts alone would not show it.
    found = judged(NeverBelow(ZERO_IBP), both("1100", "1010"))
    assert (found.status, found.findings[0].losses) == (Status.NOT_REPRODUCED, 1)
    # In the mean over two models nothing is below.
    hidden = judged(NeverBelow(ZERO_IBP), both(("1000", "1110"), ("1100", "1000")))
    assert (hidden.status, hidden.findings[0].losses) == (Status.NOT_REPRODUCED, 1)
    assert judged(NeverBelow(ZERO_IBP), both("1100", ())).status == Status.NOT_RUN


def test_a_sample_represents_the_whole():
    pairs = Pairs({"table": "table10"}, {"table": "table8"}, free=("points",))

    def found(whole, sample):
        return judged(
            Represents(pairs),
            [
                cell("dm", "1" * whole + "0" * (10000 - whole), table="table10", points=10000),
                cell("dm", "1" * sample + "0" * (200 - sample), table="table8"),
            ],
        )

    assert found(9344, 190).status == Status.REPRODUCED  # the paper's: 93.44% and 95.0%
    far = found(9344, 170)
    assert (far.status, far.findings[0].p) == (Status.NOT_REPRODUCED, subset_p(170, 200, 9344, 10000))
    assert found(0, 0).outcomes == [Outcome.EMPTY]


def gain(own, others, paper=((160, 57), (0,))):
    """Cells of two own methods and of IBP, and what the paper has of them."""
    cells = [
        cell(m, s, p) for m, s, p in zip(("dm", "dm_l1", "ibp"), (*own, *others), (*paper[0], *paper[1]), strict=True)
    ]
    best_but_a_baseline = cell("l1", "1" * 200, 200)
    rows = [*(row(c) for c in cells), row(best_but_a_baseline, baseline=True)]
    return judged(Gain({"table": "table2"}, "0.3", ("dm", "dm_l1")), Evidence(rows))


@pytest.mark.parametrize(
    ("ours", "status"),
    [
        (100, Status.REPRODUCED),
        (125, Status.REPRODUCED),  # more is no less
        (90, Status.REPRODUCED),  # 45 against 50 points: the samplings explain it
        (60, Status.NOT_REPRODUCED),  # far ahead, but not by 50 points
        (0, Status.NOT_REPRODUCED),
    ],
)
def test_a_gain_must_reach_the_papers(ours, status):
    """The paper's: 80.0 − 30.0 = 50 points."""
    string = "1" * (ours + 20) + "0" * (180 - ours)
    other = "1" * 20 + "0" * 180
    found = gain((other, string), (other,), paper=((100, 160), (60,)))
    (finding,) = found.findings
    assert finding.paper == (0.8, 0.3)
    assert finding.ours == ((ours + 20) / 200, 0.1)
    assert found.status == status
    assert finding.remark == f"the paper: DM_L1 against IBP; ours: {'DM_L1' if ours else 'DM'} against IBP"


def test_a_small_gain_that_is_not_significant_is_undecided():
    first, second = verdicts(14, 10, 100)
    found = gain((second, first), (second,), paper=((110, 114), (110,)))
    assert found.status == Status.UNDECIDED


def test_a_gain_needs_all_methods():
    found = gain(("1" * 200, "1" * 200), ((),))
    assert found.status == Status.NOT_RUN
    assert found.missing == ["ibp at ε_train 0.3 on mnist small (cnn-cert-relu, linf, 200 points)"]


def test_which_eps_a_claim_speaks_of():
    radii = ["0", "0.01", "0.07", "0.1", "0.3"]
    cells = [cell("dm", "1", eps_cert=e) for e in radii] + [cell("ibp", "1", eps_cert=e) for e in radii]

    def admitted(**radii):
        pairs = Pairs({"method": "dm"}, {"method": "ibp"}, eps=EpsRange(**radii)).of(cells)
        assert all(a.eps_cert == b.eps_cert for a, b in pairs)
        return [a.eps_cert for a, _ in pairs]

    assert admitted() == radii
    assert admitted(beyond="0.07") == ["0.1", "0.3"]
    assert admitted(least="0.07") == ["0.07", "0.1", "0.3"]
    assert admitted(only=("0",)) == ["0"]
    assert admitted(largest=True) == ["0.3"]
    assert admitted(trained=True) == ["0.3"]


def test_the_largest_eps_is_each_panels_own():
    cells = [
        cell(m, "1", dataset=d, eps_cert=e)
        for m in ("dm", "ibp")
        for d, e in (("mnist", "0.3"), ("mnist", "0.2"), ("cifar10", "8_255"), ("cifar10", "1_255"))
    ]
    pairs = Pairs({"method": "dm"}, {"method": "ibp"}, eps=EpsRange(largest=True)).of(cells)
    assert [(a.dataset, a.eps_cert) for a, _ in pairs] == [("mnist", "0.3"), ("cifar10", "8_255")]


def test_pairs_differ_only_in_what_is_named():
    cells = [cell("dm", "1"), cell("ibp", "1", eps_train="0.1"), cell("ibp", "1", arch="medium")]
    assert Pairs({"method": "dm"}, {"method": "ibp"}).of(cells) == []
    assert len(Pairs({"method": "dm"}, {"method": "ibp"}, free=("eps_train",)).of(cells)) == 1
