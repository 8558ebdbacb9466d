"""``report.html``, from the records in the repository: everything is on it, and it needs nothing else."""

import os
import re
import shutil
from html.parser import HTMLParser

import pytest
from test_config import CONFIG, ROOT

from doublemargin.experiment.exhibits import accuracy_tables, report_spec
from doublemargin.experiment.grid import Grid
from doublemargin.files import write_json
from doublemargin.records.columns import FILES, SUMS
from doublemargin.report.make import report_on
from doublemargin.report.one_page import part_of, write_one_page
from doublemargin.report.overview import Coverage, Overview

SPEC = report_spec(Grid(CONFIG, "short"))


class Page(HTMLParser):
    """A page's ids, links and sources; what it opens it must close."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.sources, self.open = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"]] if "href" in found else []
        self.sources += [found["src"]] if "src" in found else []
        self.open += [tag] if tag not in ("meta", "img") else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What `snakemake tables` makes in a clone."""
    folder = tmp_path_factory.mktemp("clone") / "results"
    (folder / "short").mkdir(parents=True)
    for file in (*FILES.values(), SUMS):
        shutil.copy(ROOT / "results/short" / file, folder / "short")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        assert report_on(CONFIG, folder) == ["short"]
    return folder


@pytest.fixture(scope="module")
def text(results):
    return (results / "report.html").read_text()


@pytest.mark.slow
def test_all_that_the_schedule_has_is_there_and_linked(results, text):
    page = Page(text)
    files = ["overview", "verdict", *(f"tables/{name}" for name in SPEC["tables"])]
    files += [f"comparisons/{name}" for name in accuracy_tables(SPEC["tables"])]
    places = {f"short-{file.replace('/', '-')}" for file in files}
    assert places | {f"short-figures-{name}" for name in SPEC["figures"]} <= {link[1:] for link in page.links}
    assert len(page.sources) == len(SPEC["figures"])
    for file in files:
        own = (results / f"short/{file}.html").read_text()
        for table in re.findall("<tbody>.*?</tbody>", own, re.DOTALL):
            assert table in text or "href" in table, file


def test_every_link_leads_to_one_place_on_the_page(text):
    page = Page(text)
    assert len(page.links) > 60
    assert {link[0] for link in page.links} == {"#"}
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_it_needs_no_other_file_and_names_no_place(results, text):
    assert all(source.startswith("data:image/svg+xml;base64,") for source in Page(text).sources)
    assert re.findall("<(?:script|link|iframe)", text) == re.findall(r"@import|url\(|file:", text) == []
    assert not re.search(r"(?<![\w.<])/(?:home|root|tmp|usr|work|var)/", text)
    assert str(results) not in text
    assert str(ROOT) not in text


def test_it_says_what_was_run_by_which_commit_and_what_to_mind(text):
    head = text[: text.index("</header>")]
    assert re.search(r"\d+ of \d+ models are trained", head)
    assert "Schedule short: each of our trainings took 0.1 times the steps of schedule paper." in head
    assert re.search(r"made by doublemargin \d+\.\d+\.\d+", head)
    table2 = next(line for line in head.splitlines() if 'href="#short-tables-table2"' in line)
    assert re.search(r"\d+ of 310 cells run\.", table2)


def test_schedules_do_not_get_in_each_others_way(tmp_path):
    parts = []
    for schedule in ("paper", "short"):
        folder = tmp_path / schedule
        figure = {"caption": "<C> & D", "panels": [{"rows": [{"models": ["now"]}]}]}
        spec = {"schedule": schedule, "reported": "x.csv", "tables": {}, "figures": {"figure1": figure}}
        (folder / "figures").mkdir(parents=True)
        (folder / "figures/figure1.svg").write_text("<svg/>")
        for model, of_config, seconds in (("dm", "now", 9), ("ibp", "older", 9), ("adv", "now", 1)):
            model = folder / f"mnist/small/{model}/0.3/seed0"  # of the last the picture is older than the training
            write_json(model / "training.json", {"spec_hash": of_config})
            (model / "points.png").write_bytes(b"\x89PNG")
            os.utime(model / "training.json", (5, 5))
            os.utime(model / "points.png", (seconds, seconds))
        (folder / "overview.html").write_text("<body><article>Run.</article></body>")
        (folder / "verdict.html").write_text('<article><a href="#a">A</a><h2 id="a">A</h2></article>')
        parts.append(
            part_of(spec, Overview(schedule, [], Coverage("all", 0, 9, 0, 99, 0.0, ()), [], [], None, []), folder)
        )
    write_one_page(parts, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    assert [link for link in page.links if link.endswith("-a")] == ["#paper-verdict-a", "#short-verdict-a"]
    assert {link[1:] for link in page.links} == set(page.ids)
    assert len(page.ids) == len(set(page.ids)) == 1 + 2 * 5
    assert text.count('alt="&lt;C&gt; &amp; D"') == 2
    assert page.sources.count("data:image/png;base64,iVBORw==") == 2
    assert text.count("<h1>Points. mnist/small/dm/0.3/seed0: ") == 2
