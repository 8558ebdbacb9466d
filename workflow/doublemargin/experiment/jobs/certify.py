"""Certify one model's test points."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from dmcore.certify import CertificationResult, certify_points
from dmcore.device import out_of_memory
from dmcore.eps import Eps
from dmcore.errors import UserError
from dmcore.files import digest
from dmcore.linear.chunks import point_chunk
from dmcore.norms import check_radius
from dmcore.progress import progress_bar
from dmcore.registries import certifier as registry
from dmcore.signals import StoppedError, stoppable
from doublemargin.experiment.jobs.evaluation_task import EvaluationTask, numbers
from doublemargin.experiment.jobs.unfinished import CertifiedSoFar, Unfinished
from doublemargin.experiment.source import code_hash
from doublemargin.records.cells import read_cells, unfinished_beside, write_cells

SAVE_EVERY = 60.0  # seconds of work that a kill may cost


@dataclass(frozen=True)
class Certification:
    """How points are certified; its fields are those of the record, in the record's order.

    Attributes:
        time_limit: seconds of a point, for certifiers that take one; None for no limit, which the record leaves out.
    """

    certifier: str
    norm: str
    clip_input: bool
    intersect_ibp: bool
    points: int
    points_seed: int
    time_limit: float | None = None

    def told(self) -> dict[str, Any]:
        """What the record says."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("time_limit", None)}

    def verdicts(self, subject: EvaluationTask, points: slice, eps: float) -> CertificationResult:
        """The verdicts on some of a subject's points."""
        x, y, certifier = subject.x[points], subject.y[points], self.certifier
        if self.time_limit is not None:
            certifier = registry.get(certifier)(self.intersect_ibp, time_limit=self.time_limit)
        found = certify_points(subject.net, x, y, eps, self.norm, certifier, self.clip_input, self.intersect_ibp)
        return CertificationResult(*(getattr(found, field.name).cpu() for field in fields(found)))


def certify_job(
    subject: EvaluationTask,
    how: Certification,
    eps_ids: list[str],
    out: Path | None = None,
    save_every: float = SAVE_EVERY,
) -> dict[str, Any]:
    """Certifies the points at each ε; returns, and writes to ``out``, a record with every point's verdict and margin.

    Cells that ``out`` has of the same model, points, settings and code stay and are not computed again. Verdicts are
    saved every ``save_every`` seconds, and on SIGTERM, beside it and taken up by the next call after a kill; that file
    is removed once all ε are there.

    Raises:
        UserError: a bad ε; a single point needs more memory than there is.
        StoppedError: on SIGTERM.
    """
    radii = [Eps.parse(e) for e in eps_ids]  # a bad one is refused before any work
    for eps in radii:
        check_radius(how.norm, float(eps))
    made_from = _made_from(subject, how)
    cells = read_cells(out, made_from)
    state = None if out is None else unfinished_beside(out)
    unfinished = Unfinished(state, _state_key(subject, made_from), save_every)
    with stoppable() as stopper:
        stopper.at_once = True
        try:
            _certify(subject, how, [eps for eps in radii if eps.id not in cells], unfinished)
        except StoppedError as error:
            stopper.at_once = False
            unfinished.save()
            saved = "" if out is None else "; its verdicts are saved and the next run goes on"
            raise StoppedError(f"{subject.path}: {error}{saved}") from error
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            raise UserError(
                f"{subject.path}: {how.certifier} needs more memory for a single point than {subject.x.device} has "
                f"({' '.join(str(error).split())[:120]}); use --device cpu on a larger machine, or fewer --gpu-slots"
            ) from error
    cells |= {eps: _cell(done, subject, how) for eps, done in unfinished.done.items() if len(done) == how.points}
    record = write_cells(out, {**subject.model, **how.told(), "made_from": made_from, **subject.points}, cells)
    unfinished.remove()
    return record


def _certify(subject: EvaluationTask, how: Certification, radii: list[Eps], unfinished: Unfinished) -> None:
    """Certifies part by part what is not done yet."""
    # Always the same parts, or rounding would tell of interruptions; points with a limit of their own one by one.
    size = 1 if how.certifier == "milp" else point_chunk(subject.net, subject.x)
    parts = [(eps, start) for eps in radii for start in range(0, how.points, size)]
    left = [(eps, start) for eps, start in parts if start >= len(unfinished.of(eps.id))]
    todo = len(radii) * how.points - sum(len(unfinished.of(eps.id)) for eps in radii)
    with progress_bar(todo, f"{subject.path} {how.certifier}, points") as bar:
        for eps, start in left:
            started = time.perf_counter()
            found = how.verdicts(subject, slice(start, start + size), float(eps))
            unfinished.add(eps.id, found, time.perf_counter() - started)
            bar.update(len(found))


def _counted(verdicts: CertificationResult, how: Certification) -> dict[str, int]:
    """How many points each of the certifiers certified that are tried one after the other, the fast ones first."""
    stages = [*registry.get(how.certifier).NEVER_BELOW, how.certifier]
    counts = verdicts.stage[verdicts.certified].bincount(minlength=len(stages))
    return dict(zip(stages, counts.tolist(), strict=True))


def _cell(done: CertifiedSoFar, subject: EvaluationTask, how: Certification) -> dict[str, Any]:
    certified = done.verdicts.certified.tolist()
    return {
        "certified_accuracy": sum(certified) / len(certified),
        "seconds": round(done.seconds, 3),
        "rechecked": int(done.verdicts.rechecked.sum()),
        "certified_by": _counted(done.verdicts, how),
        "provenance": subject.provenance,
        "predicted": done.verdicts.predicted.tolist(),
        "margins": numbers(done.verdicts.margin),
        "certified": certified,
    }


def _made_from(subject: EvaluationTask, how: Certification) -> str:
    """What every verdict depends on; the code as the rule counts it."""
    code = code_hash("doublemargin.experiment.jobs.certify", uses=[how.certifier, subject.arch])
    return digest([how.told(), subject.model, subject.points["data"], code])


def _state_key(subject: EvaluationTask, made_from: str) -> str:
    """What the verdicts of one ε have in common: they come from one device, too."""
    return digest([made_from, *(subject.provenance[key] for key in ("torch", "device", "threads"))])
