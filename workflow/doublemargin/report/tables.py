"""Accuracy tables: methods down, ε across. Each cell holds ours and what the paper reports of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dmcore.eps import Eps, labels
from doublemargin.records.columns import UNDISTURBED
from doublemargin.records.statistics import Share, decimals, std_of_hundreds, std_over_seeds, wilson_interval

NOT_RUN = "–"
PARTLY = "†"
ROUGHLY = "‡"
FEWER = f"{PARTLY}: the mean of fewer models than it is to be."
SLOWED = f"{ROUGHLY}: other work may have slowed this training down; its time is compared with no other."


@dataclass(frozen=True)
class Timing:
    """How long one of our models trained, on what, and whether its process had a processor for itself."""

    seconds: float
    device: str
    threads: str
    seed: int
    timing: str = UNDISTURBED


@dataclass(frozen=True)
class Cell:
    """One accuracy of a table.

    Attributes:
        table, dataset, arch, certifier, norm, points, method, eps_train, eps_cert: what it is of; ε as ids.
        label: the method's, as in the table.
        models: how many models it is to be the mean of.
        verdicts: of each model that was run a string with a 1 for each point certified, a 0 for each other.
        attacked: of each of these that was attacked a string with a 1 for each point classified right and not broken.
        data: the hash of the data they were certified on.
        paper: the paper's share; None where it is illegible, or the paper has no such cell.
        reported: whether the paper has such a cell.
        with_std: whether the standard deviation over random hundreds of the points is printed, as in the paper; not
            of a mean over models, which shows its own.
        best: whether it is marked as the best of its column.
    """

    table: str
    dataset: str
    arch: str
    certifier: str
    norm: str
    points: int
    method: str
    eps_train: str
    eps_cert: str
    label: str
    models: int
    verdicts: tuple[str, ...]
    data: str
    paper: Share | None
    reported: bool
    attacked: tuple[str, ...] = ()
    with_std: bool = False
    best: bool = False

    @property
    def ours(self) -> Share | None:
        """Our share, over the points of all models that were run; None if none was."""
        if not self.verdicts:
            return None
        return Share(sum(v.count("1") for v in self.verdicts), sum(map(len, self.verdicts)))

    @property
    def not_broken(self) -> Share | None:
        """The share that the attack does not break; None unless it was made of every model that was certified."""
        if not self.attacked or len(self.attacked) < len(self.verdicts):
            return None
        return Share(sum(v.count("1") for v in self.attacked), sum(map(len, self.attacked)))

    @property
    def upper_text(self) -> str:
        """The same as printed: ``73.1%``, or a dash."""
        return NOT_RUN if self.not_broken is None else f"{self._percentage(self.not_broken)}%"

    @property
    def std_over_hundreds(self) -> float | None:
        """The standard deviation of ours over random hundreds of the points, the paper's "std"."""
        return std_of_hundreds(self.ours.value, self.points) if self.ours else None

    @property
    def std_over_seeds(self) -> float | None:
        """The standard deviation of the models' shares; None unless several were run."""
        return std_over_seeds(self.shares) if len(self.shares) > 1 else None

    @property
    def shares(self) -> list[float]:
        """That of each model that was run."""
        return [verdicts.count("1") / len(verdicts) for verdicts in self.verdicts]

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% Wilson interval of ours; a mean over models, all of them on the same points, counts as one."""
        return wilson_interval(round(self.ours.value * self.points), self.points) if self.ours else None

    @property
    def status(self) -> str:
        """``run``, ``partly`` where models are missing from a mean, or ``not run``."""
        return "not run" if not self.verdicts else "partly" if len(self.verdicts) < self.models else "run"

    @property
    def text(self) -> str:
        """``66.5%``, ``66.5 (4.6)%``, ``66.5% ± 0.6 (3)`` of 3 models, a dagger where some are missing; or a dash."""
        if self.ours is None:
            return NOT_RUN
        hundreds = f" ({100 * self.std_over_hundreds:.1f})" if self.with_std else ""
        seeds = "" if self.std_over_seeds is None else f" ± {100 * self.std_over_seeds:.1f} ({len(self.verdicts)})"
        return f"{self._percentage(self.ours)}{hundreds}%{seeds}" + (PARTLY if self.status == "partly" else "")

    def _percentage(self, share: Share) -> str:
        return f"{100 * share.value:.{decimals(self.points, self.models > 1)}f}"


@dataclass(frozen=True)
class Row:
    """A method at one ε_train in a panel of a table.

    Attributes:
        panel: the panel's title.
        eps_train: its id, as in the records: ``8_255``, or ``none``.
        group: which of the panel's groups it belongs to; an ε_train is printed once for rows of a group that have it.
        baseline: whether it is left out where the best of a column is marked.
        own: whether it is the paper's own method or a variant of it.
        timings: of our models that were run.
        paper_seconds: the paper's training time; None where illegible or not printed.
    """

    table: str
    panel: str
    dataset: str
    arch: str
    method: str
    label: str
    eps_train: str
    group: int
    baseline: bool
    own: bool
    timings: tuple[Timing, ...]
    paper_seconds: float | None
    cells: tuple[Cell, ...]

    @property
    def eps(self) -> str:
        """ε_train as printed: ``8/255``, or nothing."""
        return "" if self.eps_train == "none" else Eps.parse(self.eps_train).label

    @property
    def seconds(self) -> float | None:
        """Our training time, the mean over the models; None if none was run."""
        return sum(timing.seconds for timing in self.timings) / len(self.timings) if self.timings else None

    @property
    def undisturbed(self) -> bool:
        """Whether our trainings had a processor for themselves; else their time is compared with no other."""
        return all(timing.timing == UNDISTURBED for timing in self.timings)

    @property
    def time(self) -> str:
        """Our training time as printed: ``812.0``, ``812.0‡`` where others may have slowed it down, or a dash."""
        return NOT_RUN if self.seconds is None else f"{self.seconds:.1f}" + ("" if self.undisturbed else ROUGHLY)


@dataclass(frozen=True)
class Panel:
    """One block of a table: a title, what was certified and attacked how at which ε (their ids), and what was found."""

    title: str
    dataset: str
    arch: str
    certifier: str
    norm: str
    eps_ids: list[str]
    rows: list[Row]
    training_time: bool = True
    attack: str | None = None
    findings: Sequence[str] = ()

    @property
    def eps(self) -> list[str]:
        """The ε of the columns as printed."""
        return labels(self.eps_ids)

    @property
    def eps_attacked(self) -> list[str]:
        """The ids of those ε at which its points are attacked, too."""
        return [eps for eps in self.eps_ids if self.attack and Eps.parse(eps).value]


@dataclass(frozen=True)
class Table:
    """A whole table, with notes that say how its numbers were made; the first of them are the ``warnings``."""

    caption: str
    panels: list[Panel]
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    name: str = ""

    @property
    def cells(self) -> list[Cell]:
        """Those of all its panels."""
        return [cell for panel in self.panels for row in panel.rows for cell in row.cells]
