"""Ours beside the paper's, with records whose every verdict is known."""

from dataclasses import replace

import pytest
from made_records import first, made_records, spec_of, the_papers_own
from results_folder import REPORTED

from doublemargin.records.statistics import Share, newcombe_interval
from doublemargin.report.build_table import Lookup, build_table
from doublemargin.report.comparison import ABOVE, BELOW, Difference, compare, html, paper_time, time_ratio
from doublemargin.report.make_tables import make_tables

SPEC = spec_of()
OURS = {  # of 200 points, in Table 2; the paper has 90.0, 66.5 and 0.0% of dm, and 95.5% of ibp
    ("dm", "0"): 180, ("dm", "0.3"): 101, ("dm", "0.4"): 12, ("ibp", "0"): 196, ("ibp", "0.4"): 0,
}  # fmt: skip


def verdicts_of(place, seed):
    if (place["dataset"], place["arch"], place["points"]) != ("mnist", "small", 200):
        return None
    count = OURS.get((place["method"], place["eps_cert"])) if place["eps_train"] == "0.3" else None
    return None if count is None else first(count, 200)


def seconds_of(place, seed):
    return 104.0 if place["method"] in ("dm", "ibp") and place["eps_train"] == "0.3" else None


def compared(spec=SPEC, table="table2", records=None, **origin):
    records = records or made_records(spec, verdicts_of, seconds_of, **origin)
    exhibit = spec["tables"][table]
    return compare(exhibit, build_table(exhibit, Lookup.of(records, REPORTED)), records)


@pytest.fixture(scope="module")
def comparison():
    return compared()


def row_of(comparison, label, panel=0):
    return next(row for row in comparison.panels[panel].rows if row.label == label)


def differences(row):
    return [Difference(cell) for cell in row.cells]


def test_values_differences_and_marks(comparison):
    dm = dict(zip(comparison.panels[0].eps, differences(row_of(comparison, "Double Margin")), strict=True))
    assert dm["0"].ours_text == "90.0 [85.1, 93.4]"
    assert (dm["0"].text, dm["0"].mark) == ("0.0", "")
    assert dm["0.30"].ours_text == "50.5 [43.6, 57.4]"
    assert dm["0.30"].paper_text == "66.5 [59.7, 72.7]"
    assert dm["0.30"].text == f"−16.0 {BELOW}"
    assert dm["0.30"].interval == newcombe_interval(Share(101, 200), Share(133, 200))
    assert dm["0.40"].text == f"+6.0 {ABOVE}"
    assert (dm["0.10"].ours_text, dm["0.10"].text) == ("–", "")
    ibp = differences(row_of(comparison, "IBP"))[0]
    assert (ibp.text, ibp.mark) == ("+2.5", "")  # 98.0 against 95.5: sampling


def test_times(comparison):
    dm = row_of(comparison, "Double Margin")
    assert (dm.seconds, dm.paper_seconds, time_ratio(dm)) == (104.0, 520.0, 0.2)
    assert row_of(comparison, "Bounded").seconds is None
    lower = row_of(comparison, "Double Margin", panel=4)
    assert (paper_time(lower, printed=True), differences(lower)[0].paper_text) == ("illegible", "illegible")


def test_a_time_that_others_may_have_prolonged_is_shown_and_not_compared():
    made = made_records(SPEC, verdicts_of, seconds_of)
    slowed = compared(records=replace(made, training=made.training.assign(timing="disturbed")))
    dm = row_of(slowed, "Double Margin")
    assert (dm.time, time_ratio(dm)) == ("104.0‡", None)
    assert any(note.startswith("‡") for note in slowed.notes)


def test_the_summary_counts(comparison):
    summary = comparison.summary
    assert (summary.cells, summary.compared, summary.above, summary.below, summary.within) == (310, 5, 1, 1, 3)
    assert summary.illegible == 31
    assert summary.mean_difference == pytest.approx((0 + 16 + 6 + 2.5 + 0) / 5)
    assert summary.text == (
        "5 of 310 cells compared (305 not run, 31 without a legible value of the paper): 3 within sampling, 1 above "
        "the paper (▲) and 1 below (▼); mean |difference| 4.9 points."
    )


def test_the_papers_own_numbers_differ_in_nothing():
    for table in ("table2", "table9"):
        own = compared(table=table, records=the_papers_own())
        assert own.summary.mean_difference == 0
        assert own.summary.above == own.summary.below == 0
        assert own.summary.compared == own.summary.cells - own.summary.illegible


def test_a_mean_over_models_counts_all_their_points():
    own = compared(table="table5", records=the_papers_own())
    dm = row_of(own, "Double Margin").cells
    assert (dm[2].paper, dm[2].ours) == (Share(571, 600), Share(571, 600))  # printed 95.2%
    assert any("models × points" in note for note in own.notes)
    assert not any("†" in note for note in own.notes)
    records = made_records(SPEC, lambda place, seed: first(190, 200) if seed == 0 else None)
    some = compared(table="table5", records=records)
    assert differences(row_of(some, "Double Margin"))[0].ours_text.endswith("†")
    assert any(note.startswith("†") for note in some.notes)


def test_marked_cells_are_coloured(comparison):
    page = html(comparison)
    assert page.count('<td class="below">') == 1
    assert '<td class="above">+6.0 ▲</td>' in page
    table, folded = page.split("<h2>")[1].split("<details>")
    assert folded.startswith("<summary>8 not run</summary>")
    assert (table.count('<td class="text">ours</td>'), folded.count('<td class="text">ours</td>')) == (2, 8)


@pytest.mark.parametrize(
    ("table", "change", "why"),
    [
        ("table2", {"reported": None}, "the report of schedule 'paper' has no numbers of the paper; give"),
        ("table12", {}, "the table shows no accuracies."),
    ],
)
@pytest.mark.usefixtures("at_the_root")
def test_where_nothing_can_be_compared_the_page_says_so(tmp_path, table, change, why):
    make_tables({table: SPEC["tables"][table] | change}, made_records(SPEC, verdicts_of), tmp_path)
    assert f"> **Nothing to compare: {why}" in (tmp_path / f"comparisons/{table}.md").read_text()
    assert len((tmp_path / f"comparisons/{table}.csv").read_text().splitlines()) == 1
