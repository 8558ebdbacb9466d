"""Statements about training times, on times whose answer is known."""

from dataclasses import replace

import pytest
from made_rows import row

from doublemargin.report.claims.claims import Claim
from doublemargin.report.claims.evidence import Outcome
from doublemargin.report.claims.judge import Status, judge
from doublemargin.report.claims.times import Times, our_pairs, paper_pairs

FASTER = Times("dm", ("ibp",))
ARCHS = ["small", "medium", "large", "pooling", "resnet", "pureconv", "a", "b", "c", "d"]


def rows(ratios, **more):
    """Pairs of one dm and one ibp training, dm at so many times the time of ibp."""
    return [
        made
        for arch, ratio in zip(ARCHS, ratios, strict=False)
        for made in (
            row(method="dm", arch=arch, times=[100 * ratio], paper_seconds=more.get("paper")),
            row(method="ibp", arch=arch, times=[100.0], paper_seconds=100.0),
        )
    ]


def judged(part, made):
    return judge(Claim("name", "title", "words", "4.2", (part,)), made)


@pytest.mark.parametrize(
    ("ratios", "outcome", "status"),
    [
        ([0.8, 0.9, 0.7], Outcome.HOLDS, Status.REPRODUCED),
        ([0.8], Outcome.HOLDS, Status.REPRODUCED),
        ([1.1, 1.2, 1.3], Outcome.FAILS, Status.NOT_REPRODUCED),
        ([0.98], Outcome.OPEN, Status.UNDECIDED),  # level
        ([0.8, 0.9, 1.2], Outcome.OPEN, Status.UNDECIDED),
        ([0.8] * 9 + [1.2], Outcome.HOLDS, Status.REPRODUCED),
        ([1.2] * 9 + [0.8], Outcome.FAILS, Status.NOT_REPRODUCED),
        ([0.8] * 5 + [1.0] * 2, Outcome.OPEN, Status.UNDECIDED),
    ],
)
def test_faster(ratios, outcome, status):
    found = judged(FASTER, rows(ratios))
    assert (found.outcomes, found.status) == ([outcome], status)


def test_faster_shows_the_pair_in_the_middle_and_the_sign_test():
    (finding,) = judged(FASTER, rows([0.5, 0.8, 0.6, 0.9, 1.2], paper=99.0)).findings
    assert finding.ours == pytest.approx((80.0, 100.0))
    assert (finding.wins, finding.losses, finding.p) == (4, 1, 2 * (1 + 5) / 2**5)
    assert finding.paper == (99.0, 100.0)
    assert finding.as_claimed is True


def test_only_like_trainings_on_one_device_are_paired():
    dm = row(method="dm", times=[(100.0, "H100"), (120.0, "H100")])
    ibp = row(method="ibp", times=[(130.0, "H100"), (150.0, "P100")])
    pairs = our_pairs([dm, ibp, row(method="ibp", times=[1.0], eps_train="0.1")], "dm", "ibp")
    assert [(p.first, p.second) for p in pairs] == [(100.0, 130.0)]
    assert judged(FASTER, [row(method="dm", times=[5.0]), row(method="ibp")]).status == Status.NOT_RUN


def test_a_time_that_others_may_have_prolonged_counts_for_no_pair():
    dm, ibp = row(method="dm", times=[100.0]), row(method="ibp", times=[130.0])
    assert len(our_pairs([dm, ibp], "dm", "ibp")) == 1
    for timing in ("disturbed", "unknown"):
        slowed = replace(ibp, timings=tuple(replace(t, timing=timing) for t in ibp.timings))
        assert our_pairs([dm, slowed], "dm", "ibp") == []
        (missing,) = judged(FASTER, [dm, slowed]).missing
        assert missing == "dm and ibp on mnist, undisturbed on one device"  # these were trained


def test_a_model_in_several_tables_counts_once():
    made = [
        row(method=m, table=t, times=[10.0], paper_seconds=5.0) for m in ("dm", "ibp") for t in ("table2", "table8")
    ]
    assert len(our_pairs(made, "dm", "ibp")) == 1
    assert len(paper_pairs(made, "dm", "ibp")) == 1


def test_the_papers_exceptions_are_listed():
    (finding,) = judged(FASTER, rows([0.8, 0.9], paper=101.0)).findings
    assert finding.as_claimed is False
    assert finding.remark.startswith(
        "the paper: faster than IBP in 0 of 2 pairs, not on mnist small, ε_train 0.3: 101.0 "
    )


@pytest.mark.parametrize(
    ("ratio", "status"),
    [
        (1.1, Status.REPRODUCED),
        (1.4, Status.REPRODUCED),
        (1.07, Status.UNDECIDED),
        (1.45, Status.UNDECIDED),
        (1.0, Status.NOT_REPRODUCED),
        (1.6, Status.NOT_REPRODUCED),
    ],
)
def test_takes_longer(ratio, status):
    assert judged(Times("dm", ("ibp",), takes=(1.1, 1.4)), rows([ratio, ratio])).status == status
