"""Certify one model's test points."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dmcore.certify import CertificationResult, certify_points
from dmcore.device import out_of_memory
from dmcore.eps import Eps
from dmcore.errors import UserError
from dmcore.files import digest
from dmcore.linear.chunks import point_chunk
from dmcore.norms import check_radius
from dmcore.progress import progress
from dmcore.signals import StoppedError, stoppable
from doublemargin.experiment.jobs.evaluation_task import EvaluationTask, load_subject, numbers
from doublemargin.experiment.jobs.unfinished import CertifiedSoFar, Unfinished
from doublemargin.experiment.source import code_hash
from doublemargin.records.cells import read_cells, unfinished_beside, write_cells

SAVE_EVERY = 60.0  # seconds of work that a kill may cost


@dataclass(frozen=True)
class Certification:
    """How points are certified; its fields are those of the record, in the record's order."""

    certifier: str
    norm: str
    clip_input: bool
    intersect_ibp: bool
    points: int
    points_seed: int

    def verdicts(self, subject: EvaluationTask, points: slice, eps: float) -> CertificationResult:
        """The verdicts on some of a subject's points."""
        x, y = subject.x[points], subject.y[points]
        found = certify_points(subject.net, x, y, eps, self.norm, self.certifier, self.clip_input, self.intersect_ibp)
        return CertificationResult(
            found.predicted.cpu(), found.margin.cpu(), found.certified.cpu(), found.rechecked.cpu()
        )


def certify_job(
    model: Path,
    data: Path,
    how: Certification,
    eps_ids: list[str],
    out: Path,
    device: torch.device,
    save_every: float = SAVE_EVERY,
) -> None:
    """Certifies the shared test points at each ε; writes a record with every point's verdict and margin.

    Cells that ``out`` has of the same model, points, settings and code stay and are not computed again. Verdicts are
    saved every ``save_every`` seconds, and on SIGTERM, beside it and taken up by the next call after a kill; that file
    is removed once all ε are there.

    Raises:
        UserError: a bad ε, norm, model or data file; a single point needs more memory than there is.
        StoppedError: on SIGTERM.
    """
    radii = [Eps.parse(e) for e in eps_ids]  # a bad one is refused before any work
    for eps in radii:
        check_radius(how.norm, float(eps))
    subject = load_subject(model, data, how.points, how.points_seed, device)
    made_from = _made_from(subject, how)
    cells = read_cells(out, made_from)
    unfinished = Unfinished(unfinished_beside(out), _state_key(subject, made_from), save_every)
    with stoppable() as stopper:
        stopper.at_once = True
        try:
            _certify(subject, how, [eps for eps in radii if eps.id not in cells], unfinished)
        except StoppedError as error:
            stopper.at_once = False
            unfinished.save()
            raise StoppedError(f"{subject.path}: {error}; its verdicts are saved and the next run goes on") from error
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            raise UserError(
                f"{subject.path}: {how.certifier} needs more memory for a single point than {device} has "
                f"({' '.join(str(error).split())[:120]}); use --device cpu on a larger machine, or fewer --gpu-slots"
            ) from error
    cells |= {eps: _cell(done, subject) for eps, done in unfinished.done.items() if len(done) == how.points}
    write_cells(out, {**subject.model, **asdict(how), "made_from": made_from, **subject.points}, cells)
    unfinished.remove()


def _certify(subject: EvaluationTask, how: Certification, radii: list[Eps], unfinished: Unfinished) -> None:
    """Certifies part by part what is not done yet."""
    size = point_chunk(subject.net, subject.x)  # always the same parts, or rounding would tell of interruptions
    parts = [(eps, start) for eps in radii for start in range(0, how.points, size)]
    left = [(eps, start) for eps, start in parts if start >= len(unfinished.of(eps.id))]
    for eps, start in progress(left, len(left), f"{subject.path} {how.certifier}, parts of {size} points"):
        started = time.perf_counter()
        found = how.verdicts(subject, slice(start, start + size), float(eps))
        unfinished.add(eps.id, found, time.perf_counter() - started)


def _cell(done: CertifiedSoFar, subject: EvaluationTask) -> dict[str, Any]:
    certified = done.verdicts.certified.tolist()
    return {
        "certified_accuracy": sum(certified) / len(certified),
        "seconds": round(done.seconds, 3),
        "rechecked": int(done.verdicts.rechecked.sum()),
        "provenance": subject.provenance,
        "predicted": done.verdicts.predicted.tolist(),
        "margins": numbers(done.verdicts.margin),
        "certified": certified,
    }


def _made_from(subject: EvaluationTask, how: Certification) -> str:
    """What every verdict depends on; the code as the rule counts it."""
    code = code_hash("doublemargin.experiment.jobs.certify", uses=[how.certifier, subject.arch])
    return digest([asdict(how), subject.model, subject.points["data"]["sha256"], code])


def _state_key(subject: EvaluationTask, made_from: str) -> str:
    """What the verdicts of one ε have in common: they come from one device, too."""
    return digest([made_from, *(subject.provenance[key] for key in ("torch", "device", "threads"))])
