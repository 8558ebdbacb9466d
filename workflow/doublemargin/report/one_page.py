"""``report.html``: the reports of some schedules on one page that needs no other file, made of their own pages."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from dmcore import __version__
from dmcore.files import write_text
from doublemargin.experiment.commit import commit
from doublemargin.experiment.exhibits import all_exhibits, heading, models_of
from doublemargin.files import read_json
from doublemargin.report.overview import Overview, summary
from doublemargin.report.render.templates import web_page

TITLE = "doublemargin: tables, figures and verdict"

POINTS = (
    "test images, each with the ε up to which it is certified, and with the smallest ε at which an attack found an "
    "adversarial example; the true limit lies between the two."
)


@dataclass(frozen=True)
class Section:
    """A page of a report, or a figure.

    Attributes:
        id: where it is on the page.
        about: what it shows, for the contents.
        content: HTML.
        beside: a table's comparison with the paper's.
    """

    id: str
    title: str
    about: str
    content: str
    beside: Section | None = None


@dataclass(frozen=True)
class SchedulePart:
    """What is shown of a schedule."""

    schedule: str
    warnings: Sequence[str]
    summary: str
    sections: Sequence[Section]


def part_of(spec: Mapping[str, Any], overview: Overview, folder: Path) -> SchedulePart:
    """A schedule's part: its report (:func:`doublemargin.experiment.exhibits.report_spec`) as written to a folder."""
    schedule = spec["schedule"]
    run = {table.name: f"{table.run:,} of {table.cells:,} cells run." for table in overview.exhibits}

    def page(file: str, title: str, about: str, beside: Section | None = None) -> Section:
        text = (folder / f"{file}.html").read_text(encoding="utf-8")
        (article,) = re.findall("<article.*</article>", text, re.DOTALL)
        place = f"{schedule}-{file.replace('/', '-')}"
        article = re.sub('( id="| href="#)', rf"\g<1>{place}-", article)  # two schedules have a verdict each
        return Section(place, title, about, article, beside)

    def picture(id: str, title: str, caption: str, file: Path, kind: str) -> Section:
        data = base64.b64encode(file.read_bytes()).decode()
        alt = escape(caption)
        image = f'<div class="scroll"><img alt="{alt}" src="data:image/{kind};base64,{data}"></div>'
        return Section(f"{schedule}-{id}", title, caption, f"<h1>{escape(title)}. {alt}</h1>{image}")

    def figure(name: str, caption: str) -> Section:
        return picture(f"figures-{name}", heading(name), caption, folder / f"figures/{name}.svg", "svg+xml")

    def points(file: Path) -> Section:
        model = file.parent.relative_to(folder).as_posix()
        return picture(f"points-{model.replace('/', '-')}", "Points", f"{model}: {POINTS}", file, "png")

    sections = [page("overview", "Overview", "What has been run, on what, at what cost.")]
    if spec["reported"]:
        sections.append(page("verdict", "Verdict", "The paper's claims, tested on our results."))
    sections += [figure(name, exhibit["caption"]) for name, exhibit in spec["figures"].items()]
    for name, exhibit in spec["tables"].items():
        about = f"{exhibit['caption']} {run.get(name, '')}".strip()
        compared = spec["reported"] and name in run
        beside = page(f"comparisons/{name}", f"{heading(name)} beside the paper's", "") if compared else None
        sections.append(page(f"tables/{name}", heading(name), about, beside))
    models = models_of(all_exhibits(spec))
    pictures = sorted(folder.glob("*/*/*/*/seed*/points.png"))
    sections += [points(file) for file in pictures if _of_one(file, models)]
    return SchedulePart(schedule, overview.warnings, summary(overview), sections)


def _of_one(picture: Path, models: Collection[str]) -> bool:
    """Whether a picture beside a training's record is of one of these models, and no older than the training."""
    record = picture.with_name("training.json")
    if not record.is_file() or record.stat().st_mtime > picture.stat().st_mtime:
        return False
    return read_json(record)["spec_hash"] in models


def write_one_page(parts: Sequence[SchedulePart], path: Path) -> None:
    """Writes the page of some schedules."""
    page = web_page("report.html.j2", title=TITLE, parts=parts, version=__version__, commit=commit())
    write_text(path, page)
