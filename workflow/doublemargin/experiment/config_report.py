"""What may stand in a report of ``config.yaml``: tables and figures, their panels and rows. Needs no torch."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, PositiveInt, model_validator

from dmcore.eps import Eps
from doublemargin.experiment.config_types import (
    CertifierName,
    ExhibitName,
    FigureName,
    MethodName,
    Norm,
    Radii,
    RadiusOrRadii,
    Section,
    Seeds,
)


class Rows(Section):
    """A group of methods trained at the same ε."""

    methods: Annotated[list[str], Field(min_length=1)]
    """The methods."""
    eps_train: RadiusOrRadii | None = None
    """The ε they are trained at, or a list of such, a group for each; left out where there is none."""
    seeds: Seeds | None = None
    """The trainings that a row is the mean of, with their standard deviation; by default the config's seeds."""


class Panel(Section):
    """A block of a table, a subplot of a figure."""

    dataset: str
    """The data set."""
    arch: str
    """The network."""
    certifier: CertifierName
    """The certifier."""
    attack: Literal["pgd", "auto"] | None = None
    """An attack on the same points: in a table a column more for each ε but 0 says which share it does not break."""
    norm: Norm = "linf"
    """The norm of the perturbation."""
    points: PositiveInt
    """How many test points are certified."""
    std: bool = False
    """Print the paper's standard deviation, over random hundreds of the points, in rows of one training."""
    training_time: bool = True
    """Whether there is a column for it."""
    labels: dict[MethodName, str] = Field({})
    """What methods are called in this panel, where not by their own labels."""
    eps_cert: Radii
    """The ε that are certified, each in pixel scale (under l0 a number of changed inputs); 0 is clean accuracy."""
    compare: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = Field([])
    """Pairs of rows whose certified accuracies at the largest ε are compared and tested below the panel: methods, a
    grid's variants by their full names; `<method>/<ε_train>`, as in the results' paths, where a method has several
    rows."""
    rows: Annotated[list[Rows], Field(min_length=1)]
    """Its lines."""


class Exhibit(Section):
    """A table or figure."""

    NEEDS: ClassVar[dict[str, str]] = {}
    """The key that each kind needs."""

    caption: str
    """The caption."""
    panels: Annotated[list[Panel], Field(min_length=1)] | None = None
    """Blocks of a table, subplots of a figure; for the default kind."""

    @model_validator(mode="after")
    def _has_what_its_kind_needs(self) -> Exhibit:
        needed = self.NEEDS.get(self.kind)
        if needed and getattr(self, needed) is None:
            raise ValueError(f"the key '{needed}' is missing")
        return self


class Table(Exhibit):
    """A table."""

    NEEDS: ClassVar = {"accuracies": "panels", "text": "source", "cost": "source"}

    kind: Literal["accuracies", "text", "cost"] = "accuracies"
    """What is shown."""
    source: str | None = None
    """The Markdown file with the text of a table of the kinds text and cost."""


class Figure(Exhibit):
    """A figure."""

    NEEDS: ClassVar = {"curves": "panels", "tradeoff": "panels"}

    kind: FigureName = "curves"
    """What is shown; a plugin may add kinds. `tradeoff`: clean against certified accuracy at one ε, a line for all
    variants of a grid."""
    reference: str | None = None
    """A CSV of published numbers to mark in a `tradeoff`, as resources/modern/published.csv; in percent."""

    @model_validator(mode="after")
    def _trades_clean_for_one_eps(self) -> Figure:
        if self.kind != "tradeoff":
            if self.reference is not None:
                raise ValueError(f"'reference' is for the kind tradeoff, not {self.kind}")
            return self
        for i, panel in enumerate(self.panels or ()):
            if sorted(Eps.parse(eps).value > 0 for eps in panel.eps_cert) != [False, True]:
                raise ValueError(f"panels[{i}].eps_cert: a trade-off has 0, for clean accuracy, and one ε")
        return self


Split = Literal["test", "validation"]


class CertificationOfReport(Section):
    """What differs from the config's `certification`."""

    split: Split | None = None
    """Other points."""

    clip_input: bool | None = None
    """Cut the ball of perturbed inputs to [0, 1], or do not."""
    intersect_ibp: bool | None = None
    """Let no bound of a linear relaxation leave the interval bounds, or do not."""


class Report(Section):
    """A set of tables and figures, which a schedule fills."""

    certification: CertificationOfReport | None = None
    """How its points are certified, where not as all others."""

    reported: str | None = None
    """A CSV of what a paper reports of the same cells; tables are compared with it, claims checked."""
    tables: dict[ExhibitName, Table]
    """Tables by name."""
    figures: dict[ExhibitName, Figure]
    """Figures by name. A method looks the same in all figures of all reports, and like no other in its own: colours,
    markers and line styles are given out in the order of `methods`, `own` ones first; there are 16, and 6 for
    baselines."""
