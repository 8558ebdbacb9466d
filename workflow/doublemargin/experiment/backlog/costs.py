"""How long a training or certification may take, from the times of those before. Nothing but an order hangs on it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from statistics import median
from typing import Any

import pandas as pd
import torch

from dmcore.errors import UserError
from doublemargin.experiment.grid import Certification, find_model
from doublemargin.records.tidy import Records

PLACE = ("dataset", "arch", "method")
CERTIFIED = (*PLACE, "certifier", "norm")
BASE = "normal"
SLOW = 3 / 5e10
"""Seconds that normal training takes for a multiply-add of its forward pass, where it was never timed."""
POINT = 0.5
"""Seconds of a point at one ε, in normal training steps of its network, where no certification was ever timed."""


class Costs:
    """Expected seconds, each from the nearest thing that was timed.

    A training step takes as long as our own with that data set, network and method. Where there was none: its forward
    pass's multiply-adds, times what the method takes for one on other networks; or, of a method that we never ran, as
    many times normal training's as in the paper. A certification takes as long as its nearest of our own; on a network
    with none, as many of its normal training steps as on others.

    Args:
        records: of the schedule; the device that they were made on is taken to be this one.
        reported: the paper's cells (:func:`doublemargin.records.paper.read_reported`), or None.
        multiply_adds: of a step's forward pass, by data set and architecture; by default counted.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        schedule: str,
        records: Records,
        reported: pd.DataFrame | None,
        multiply_adds: Callable[[str, str], float] | None = None,
    ) -> None:
        self.config, self.schedule = config, schedule
        self._work = cache(multiply_adds or self._counted)
        trained = records.training
        self.steps = _Timed(trained.assign(time=trained["seconds"] / trained["steps"]))
        works = [self._work(d, a) for d, a in zip(trained["dataset"], trained["arch"], strict=True)]
        self.rates = _Timed(self.steps.frame.assign(time=self.steps.frame["time"] / works))
        self.ratios = _Timed(self._ratios(reported))
        cells = records.certified_accuracy
        self.points = _Timed(cells.assign(time=cells["seconds"] / cells["points"]))
        steps = [self.step(d, a) for d, a in zip(cells["dataset"], cells["arch"], strict=True)]
        self.units = _Timed(cells.assign(time=cells["seconds"] / cells["points"] / steps))

    def training(self, model: str) -> float:
        """Seconds of the training of a model, ``<schedule>/<dataset>/<arch>/<method>/<ε_train>/seed<k>``."""
        _, dataset, arch, method, _, _ = model.split("/")
        return find_model(self.config, model).training.steps * self.step(dataset, arch, method)

    def certification(self, job: Certification) -> float:
        """Seconds of a certification at all its ε."""
        _, dataset, arch, method, _, _ = job.model.split("/")
        where = {"dataset": dataset, "arch": arch, "method": method, "certifier": job.certifier, "norm": job.norm}
        there = [CERTIFIED, ("dataset", "arch", "certifier", "norm"), ("dataset", "arch", "certifier")]
        point = self.points.nearest(where, *there)
        if point is None:
            units = self.units.nearest(where, ("certifier", "norm"), ("certifier",), ())
            point = (POINT if units is None else units) * self.step(dataset, arch)
        return point * job.points * len(job.eps)

    def step(self, dataset: str, arch: str, method: str = BASE) -> float:
        """Seconds of a training step."""
        where = {"dataset": dataset, "arch": arch, "method": method}
        timed = self.steps.nearest(where, PLACE)
        return self._work(dataset, arch) * self._rate(method) if timed is None else timed

    def _rate(self, method: str) -> float:
        """Seconds of a method for a multiply-add of the forward pass."""
        timed = self.rates.nearest({"method": method}, ("method",))
        if timed is not None:
            return timed
        if method == BASE:
            return SLOW
        ratio = self.ratios.nearest({"method": method}, ("method",), ())
        return self._rate(BASE) * (1.0 if ratio is None else ratio)

    def _ratios(self, reported: pd.DataFrame | None) -> pd.DataFrame:
        """The paper's times of a step by method, over those of normal training on the same network."""
        columns = ["method", "time"]
        if reported is None:
            return pd.DataFrame(columns=columns)
        timed = reported.dropna(subset="seconds").drop_duplicates([*PLACE, "eps_train"])
        models = timed[[*PLACE, "eps_train"]].itertuples(index=False, name=None)
        timed = timed.assign(step=timed["seconds"] / [self._steps(*model) for model in models])
        pairs = timed.merge(timed[timed["method"] == BASE], on=["dataset", "arch"], suffixes=("", "_base"))
        return pairs.assign(time=pairs["step"] / pairs["step_base"])[columns].dropna()

    def _steps(self, dataset: str, arch: str, method: str, eps: str) -> float:
        """Of a model of the paper's; NaN where the config no longer has it. Methods may be cut short, each its way."""
        try:
            return find_model(self.config, f"{self.schedule}/{dataset}/{arch}/{method}/{eps}/seed0").training.steps
        except UserError:
            return math.nan

    def _counted(self, dataset: str, arch: str) -> float:
        """Multiply-adds of a batch's forward pass."""
        from torch.utils.flop_counter import FlopCounterMode

        from dmcore.nets.builder import build_net

        data = self.config["datasets"][dataset]
        batch = find_model(self.config, f"{self.schedule}/{dataset}/{arch}/{BASE}/none/seed0").training.batch
        with torch.device("meta"):  # shapes alone
            net, images = build_net(arch, tuple(data["shape"]), data["classes"]), torch.empty(batch, *data["shape"])
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            net(images)
        return counter.get_total_flops() / 2


class _Timed:
    """Median times of what was measured, by any of the frame's columns."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self.medians: dict[tuple[str, ...], dict[tuple[str, ...], float]] = {}

    def nearest(self, where: Mapping[str, str], *ladder: tuple[str, ...]) -> float | None:
        """The median at these values of the first keys at which something was timed."""
        for keys in ladder:
            if keys not in self.medians:
                self.medians[keys] = self._by(keys)
            found = self.medians[keys].get(tuple(where[key] for key in keys))
            if found is not None:
                return found
        return None

    def _by(self, keys: tuple[str, ...]) -> dict[tuple[str, ...], float]:
        times: dict[tuple[str, ...], list[float]] = {}
        for *values, time in self.frame[[*keys, "time"]].itertuples(index=False, name=None):
            times.setdefault(tuple(values), []).append(float(time))
        return {key: median(found) for key, found in times.items()}
