"""The verdicts of a certification that is under way, on disk, so that a killed one goes on where it stopped."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from torch import Tensor

from dmcore import tensorfile
from dmcore.certify import CertificationResult
from dmcore.errors import UserError
from dmcore.files import BadFileError, remove

KIND = "dmcore.certification_state"


@dataclass
class CertifiedSoFar:
    """What is done of one ε: the verdicts of the first points, and the seconds that they took."""

    verdicts: CertificationResult | None = None
    seconds: float = 0.0

    def __len__(self) -> int:
        return 0 if self.verdicts is None else len(self.verdicts.margin)


class Unfinished:
    """All verdicts so far, by the ε's id.

    Args:
        path: where they are kept while the job runs; None for nowhere.
        key: what they depend on (model, data, code, device, settings), as a hash; a file of another key is not used.
        every: seconds of work between two savings, which is what a kill may cost.
    """

    def __init__(self, path: Path | None, key: str, every: float) -> None:
        self.path, self.key, self.every = path, key, every
        self.done = self._load()
        self.saved = time.perf_counter()

    def of(self, eps: str) -> CertifiedSoFar:
        """What is done of an ε."""
        return self.done.setdefault(eps, CertifiedSoFar())

    def add(self, eps: str, verdicts: CertificationResult, seconds: float) -> None:
        """The next points of an ε are done."""
        done = self.of(eps)
        done.verdicts = verdicts if done.verdicts is None else _joined(done.verdicts, verdicts)
        done.seconds += seconds
        if time.perf_counter() - self.saved > self.every:
            self.save()

    def save(self) -> None:
        """Writes everything; nothing is written before the first part is done."""
        done = {eps: d for eps, d in self.done.items() if d.verdicts is not None}
        if not done or self.path is None:
            return
        tensors = {f"{eps} {name}": getattr(d.verdicts, name).clone() for eps, d in done.items() for name in _NAMES}
        seconds = {eps: d.seconds for eps, d in done.items()}
        tensorfile.save(self.path, KIND, tensors, {"key": self.key, "seconds": json.dumps(seconds)})
        self.saved = time.perf_counter()

    def remove(self) -> None:
        """The job's own files are written."""
        if self.path is not None:
            remove(self.path)

    def _load(self) -> dict[str, CertifiedSoFar]:
        if self.path is None or not self.path.exists():
            return {}
        try:
            tensors, meta = tensorfile.load(self.path, KIND)
        except BadFileError as error:
            print(f"starting anew: {error.wrong}; it will be written anew", file=sys.stderr)
            return {}
        except UserError as error:
            print(f"starting anew: {error}", file=sys.stderr)
            return {}
        if meta["key"] != self.key:
            print(f"starting anew: {self.path} is of another model, other settings, code or device", file=sys.stderr)
            return {}
        seconds: dict[str, float] = json.loads(meta["seconds"])
        done = {
            eps: CertifiedSoFar(CertificationResult(*(tensors[f"{eps} {name}"] for name in _NAMES)), spent)
            for eps, spent in seconds.items()
        }
        told = ", ".join(f"{len(d)} at eps {eps}" for eps, d in done.items())
        print(f"going on after {sum(seconds.values()):.0f} s; points done: {told}", file=sys.stderr)
        return done


_NAMES = [field.name for field in fields(CertificationResult)]


def _joined(first: CertificationResult, second: CertificationResult) -> CertificationResult:
    def both(name: str) -> Tensor:
        return torch.cat([getattr(first, name), getattr(second, name)])

    return CertificationResult(*(both(name) for name in _NAMES))
