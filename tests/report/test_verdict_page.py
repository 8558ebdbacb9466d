"""The Verdict as a whole, on records made of known numbers."""

import csv
import io
import re
from dataclasses import replace

import pytest
from made_records import first, made_records, spec_of, the_papers_own

from doublemargin.report.claims.claims import CLAIMS
from doublemargin.report.claims.judge import Status
from doublemargin.report.claims.page import comma_separated, html, markdown, reach_verdict
from doublemargin.report.make_pages import make_pages

SPEC = spec_of()


@pytest.fixture(scope="module")
def papers():
    """The paper's own numbers judged as if they were ours; verdicts are nested, which is the most they can show."""
    return reach_verdict(SPEC, the_papers_own())


def by_name(verdict):
    return {judged.claim.name: judged for judged in verdict.judged}


def test_the_papers_own_numbers(papers):
    claims = by_name(papers)
    statuses = {name: judged.status for name, judged in claims.items()}
    reproduced = {name for name, status in statuses.items() if status == Status.REPRODUCED}
    assert reproduced == {
        *("mnist-large-eps", "cifar-large-eps", "gtsrb-large-eps", "bounded", "gain-mnist", "gain-cifar", "gain-gtsrb"),
        *("zero-above-ibp", "l0-transfer", "own-norm", "ensembles", "points", "cifar-stability", "ibp-certified"),
    }
    # Where the paper's tables contradict its words:
    assert statuses["all-nets"] == Status.NOT_REPRODUCED  # MNIST resnet at 0.1: 65.5 against 81.0
    assert statuses["mnist-stability"] == Status.NOT_REPRODUCED  # Adv. Training at 0.01: 98.5 against 89.0
    assert statuses["ibp-certified-over-dm"] == Status.NOT_REPRODUCED  # CIFAR
    # GTSRB's times are level; one point more or less is no evidence:
    assert statuses["faster"] == statuses["l1-added"] == Status.UNDECIDED
    # Illegible:
    for name in ("mmr", "smaller-weight", "variation1", "variation2", "variation2-time"):
        assert statuses[name] == Status.NOT_RUN


def test_the_gains_of_the_prose_come_out_of_the_tables(papers):
    claims = by_name(papers)
    gains = {}
    for name in ("gain-mnist", "gain-cifar", "gain-gtsrb"):
        (finding,) = claims[name].findings
        gains[name] = round(100 * (finding.paper[0] - finding.paper[1]), 6)
        assert finding.ours == pytest.approx(finding.paper)
    assert gains == {"gain-mnist": 55.0, "gain-cifar": 20.5, "gain-gtsrb": 24.0}
    assert claims["gain-mnist"].findings[0].remark.startswith("the paper: Double Margin + L1 against Bounded")


def test_each_claim_finds_all_its_cells(papers):
    sizes = {name: len(judged.findings) for name, judged in by_name(papers).items()}
    assert sizes == {
        "mnist-large-eps": 4, "cifar-large-eps": 2 * 7, "gtsrb-large-eps": 5, "bounded": 4 + 7, "mmr": 3,
        "all-nets": 2 + 3 * 3 + 3 * 2, "gain-mnist": 1, "gain-cifar": 1, "gain-gtsrb": 1, "faster": 3 + 2 + 2 + 1,
        "zero-above-ibp": 7 * 9 + 5 * 9, "l0-transfer": 2 * 4, "own-norm": 2 * 3 * 2, "ensembles": 2 * 9,
        "smaller-weight": 2 * 2, "points": 2 * 9, "variation1": 2 * 5, "variation2": 2 * 5, "variation2-time": 2,
        "l1-added": 8, "mnist-stability": 4 * 8, "cifar-stability": 7 + 2 * 7, "ibp-certified": 2 * (4 + 4),
        "ibp-certified-over-dm": 4 + 4,
    }  # fmt: skip
    assert list(sizes) == [claim.name for claim in CLAIMS]


def test_the_papers_numbers_are_its_tables(papers):
    """Section 4.2's: 60.4% on MNIST and 46.4% on GTSRB; at MNIST 0.3 66.5 against 0.0."""
    claims = by_name(papers)
    at = {f.where: f for f in claims["smaller-weight"].findings if f.second == "IBP"}
    assert at["mnist small, ε_train 0.3, ε 0.3"].paper == pytest.approx((0.604, 0.0))
    assert at["gtsrb pureconv, ε_train 8/255, ε 8/255"].paper == (pytest.approx(0.464), None)
    (top,) = [f for f in claims["mnist-large-eps"].findings if f.where.endswith("ε 0.3")]
    assert top.paper == (0.665, 0.0)


def test_tables_beyond_the_paper_do_not_count(papers):
    assert "supplement1" in SPEC["tables"]
    assert list(papers.tables) == [f"table{n}" for n in (2, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)]


@pytest.fixture(scope="module")
def duel():
    spec = spec_of("short")
    counts = {"dm": 120, "ibp": 60}
    records = made_records(
        spec,
        lambda p, seed: (
            first(counts[p["method"]], p["points"]) if p["method"] in counts and p["points"] == 200 else None
        ),
        lambda p, seed: 100.0 if p["method"] == "dm" else None,
        variant="a copy",
    )
    return reach_verdict(spec, records)


def test_the_pages_numbers_are_the_records(duel):
    text = markdown(duel)
    row = next(line for line in text.splitlines() if line.startswith("| mnist small, ε_train 0.3, ε 0.3 "))
    values = [value.strip() for value in row.strip("|").split("|")]
    assert values[1:9] == ["Double Margin", "IBP", "66.5", "0.0", "+66.5", "60.0", "30.0", "+30.0 [+23.3, +36.2]"]
    assert values[9:] == ["60", "0", "< 0.001", "< 0.001", "holds"]
    lines = {(r["claim"], r["where"], r["second"]): r for r in csv.DictReader(io.StringIO(comma_separated(duel)))}
    line = lines["mnist-large-eps", "mnist small, ε_train 0.3, ε 0.3", "IBP"]
    assert (line["ours_first"], line["ours_second"], line["status"]) == ("0.6", "0.3", "reproduced")
    assert float(line["p"]) == 2 / 2**60
    assert float(line["p_holm"]) == 4 * 2 / 2**60


def test_the_page_says_what_it_is_made_of(duel):
    text = markdown(duel)
    assert "> **Schedule short: each of our trainings took 0.1 times the steps of schedule paper" in text
    assert "> **Data: our mnist is a copy 'a copy', not the official one.**" in text
    assert "With one training of each network (one seed) nothing is said" in text
    assert re.search(r"- Ours: schedule short, \d+ models", text)
    for claim in CLAIMS:
        assert claim.title in text
        assert claim.words in text
    assert "Not run: dm_quarter at ε_train 0.3 on mnist small (cnn-cert-relu, linf, 1000 points)" in text
    assert "### One cell, several values" in text
    assert "| Table 2 " in text


def test_html_has_all_that_markdown_has(duel):
    page = html(duel)
    for judged in duel.judged:
        assert f'<h2 id="{judged.claim.name}">' in page
        assert f'<a href="#{judged.claim.name}">' in page
    assert '<td class="holds">holds</td>' in page
    assert page.count('class="warning"') == len(duel.warnings)
    assert "http" not in page  # nothing from elsewhere
    assert "<script>" not in html(replace(duel, warnings=["<script>"]))


def test_nothing_run_yet(tmp_path):
    records = made_records(SPEC, lambda place, seed: None, lambda place, seed: None)
    make_pages(SPEC, records, tmp_path)
    names = ("verdict.md", "verdict.csv", "verdict.html", "overview.md", "overview.html", "tables")
    assert {p.name for p in tmp_path.iterdir()} == set(names)
    text = (tmp_path / "verdict.md").read_text()
    assert f"**{len(CLAIMS)} claims: 0 reproduced, 0 not reproduced, 0 undecided, {len(CLAIMS)} not run.**" in text
    assert "nothing has been run yet" in text


def test_without_the_papers_numbers_no_claim_is_judged():
    verdict = reach_verdict(SPEC | {"reported": None}, the_papers_own())
    assert verdict.warnings[0].startswith(
        "Nothing to compare: the report of schedule 'paper' has no numbers of the paper"
    )
    assert not verdict.judged
    for page in (markdown(verdict), html(verdict)):
        assert "Nothing to compare" in page
        assert not any(claim.title in page for claim in CLAIMS)
