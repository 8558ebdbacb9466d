"""Certify one model's test points."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from dmcore.certify import Verdicts, certify_points
from dmcore.device import out_of_memory
from dmcore.eps import Eps
from dmcore.errors import UserError
from dmcore.files import digest, write_json
from dmcore.linear.chunks import point_chunk
from dmcore.norms import check_radius
from dmcore.progress import progress
from dmcore.stopping import StoppedError, stoppable
from doublemargin.experiment.jobs.subject import Subject, load_subject, numbers
from doublemargin.experiment.jobs.unfinished import Done, Unfinished
from doublemargin.experiment.source import code_hash

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

    def verdicts(self, subject: Subject, points: slice, eps: float) -> Verdicts:
        """The verdicts on some of a subject's points."""
        x, y = subject.x[points], subject.y[points]
        found = certify_points(subject.net, x, y, eps, self.norm, self.certifier, self.clip_input, self.intersect_ibp)
        return Verdicts(found.predicted.cpu(), found.margin.cpu(), found.certified.cpu(), found.rechecked.cpu())


def certify_job(
    model: Path,
    data: Path,
    how: Certification,
    eps_ids: list[str],
    out: Path,
    device: torch.device,
    save_every: float = SAVE_EVERY,
) -> None:
    """Certifies the shared test points at each ε; writes ``out/<ε>.json`` with every point's verdict and margin.

    Verdicts are saved every ``save_every`` seconds, and on SIGTERM, beside these files and taken up by the next call
    after a kill; that file is removed once all ε are there.

    Raises:
        UserError: a bad ε, norm, model or data file; a single point needs more memory than there is.
        StoppedError: on SIGTERM.
    """
    radii = [Eps.parse(e) for e in eps_ids]  # a bad one is refused before any work
    for eps in radii:
        check_radius(how.norm, float(eps))
    subject = load_subject(model, data, how.points, how.points_seed, device)
    unfinished = Unfinished(out / "unfinished.safetensors", _key(subject, how), save_every)
    with stoppable() as stopper:
        stopper.at_once = True
        try:
            _certify(subject, how, radii, out, unfinished)
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
    unfinished.remove()


def _certify(subject: Subject, how: Certification, radii: list[Eps], out: Path, unfinished: Unfinished) -> None:
    """Certifies part by part what is not done yet, and writes each ε's file when all its points are."""
    size = point_chunk(subject.net, subject.x)  # always the same parts, or rounding would tell of interruptions
    parts = [(eps, start) for eps in radii for start in range(0, how.points, size)]
    left = [(eps, start) for eps, start in parts if start >= len(unfinished.of(eps.id))]
    for eps in radii:
        if len(unfinished.of(eps.id)) == how.points:
            _write(subject, how, eps, unfinished.of(eps.id), out)
    for eps, start in progress(left, len(left), f"{subject.path} {how.certifier}, parts of {size} points"):
        started = time.perf_counter()
        found = how.verdicts(subject, slice(start, start + size), float(eps))
        done = unfinished.add(eps.id, found, time.perf_counter() - started)
        if len(done) == how.points:
            _write(subject, how, eps, done, out)


def _write(subject: Subject, how: Certification, eps: Eps, done: Done, out: Path) -> None:
    certified = done.verdicts.certified.tolist()
    write_json(
        out / f"{eps.id}.json",
        {
            **subject.model,
            **asdict(how),
            "eps": eps.id,
            "certified_accuracy": sum(certified) / how.points,
            "seconds": round(done.seconds, 3),
            **subject.points,
            "predicted": done.verdicts.predicted.tolist(),
            "margins": numbers(done.verdicts.margin),
            "certified": certified,
            "rechecked": int(done.verdicts.rechecked.sum()),
        },
    )


def _key(subject: Subject, how: Certification) -> str:
    made = subject.points["provenance"]
    return digest(
        {
            "how": asdict(how),
            "model": subject.model,
            "data": subject.points["data"]["sha256"],
            "code": code_hash("dmcore.certify", uses=how.certifier),
            "on": {key: made[key] for key in ("torch", "device", "threads")},
        }
    )
