"""How long a training or certification may take, from the times of those before. Nothing but an order hangs on it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from statistics import median
from typing import Any

import pandas as pd

from dmcore.errors import UserError
from doublemargin.experiment.backlog.operations import step_operations
from doublemargin.experiment.grid import Evaluation, find_model
from doublemargin.records.columns import MODEL
from doublemargin.records.tidy import Records

NETWORK = ("dataset", "arch")
BASE = "normal"
OPERATION = 5e-11
"""Seconds of a multiply-add of training, where nothing was ever timed."""
TEST_POINT = 50
"""Training points of normal training that a test point takes at one ε, where no evaluation was ever timed."""


class Costs:
    """Expected seconds, each from the nearest thing that was timed, whatever its schedule.

    A training point of a step takes as long as our own with that data set, network and method. Where there was none,
    its multiply-adds are counted; one takes as long as with other methods on that network, else on that architecture,
    else as with that method on others. A test point of a certification or attack takes as long as its nearest of our
    own; on a network with none, as many points of its normal training as on others.

    Args:
        records: by schedule; the device that they were made on is taken to be this one.
    """

    def __init__(self, config: Mapping[str, Any], records: Mapping[str, Records]) -> None:
        self.config = config
        self._operations = cache(partial(step_operations, config))
        trained = self._described(pd.concat([found.training for found in records.values()]))
        counts = [self._operations(*names) for names in trained[[*NETWORK, "method"]].itertuples(index=False)]
        self.training_points = _Timed(trained.assign(time=trained["seconds"] / trained["steps"] / trained["batch"]))
        self.rates = _Timed(self.training_points.frame.assign(time=self.training_points.frame["time"] / counts))
        evaluated = [
            frame.rename(columns={"certifier": "by", "attack": "by"})
            for found in records.values()
            for frame in (found.certified_accuracy, found.robust_accuracy)
        ]
        cells = self._described(pd.concat(evaluated))
        self.test_points = _Timed(cells.assign(time=cells["seconds"] / cells["points"]))
        units = [self.training_point(*names, BASE) for names in cells[[*NETWORK]].itertuples(index=False)]
        self.units = _Timed(cells.assign(time=self.test_points.frame["time"] / units))

    def training(self, model: str) -> float:
        """Seconds of the training of a model, ``<schedule>/<dataset>/<arch>/<method>/<ε_train>/seed<k>``."""
        _, dataset, arch, method, _, _ = model.split("/")
        planned = find_model(self.config, model).training
        return planned.steps * planned.batch * self.training_point(dataset, arch, method)

    def evaluation(self, job: Evaluation) -> float:
        """Seconds of a certification or attack at all its ε."""
        _, dataset, arch, method, _, _ = job.model.split("/")
        where = {"dataset": dataset, "arch": arch, "method": method, "by": job.by, "norm": job.norm}
        point = self.test_points.nearest(
            where, (*NETWORK, "method", "by", "norm"), (*NETWORK, "by", "norm"), (*NETWORK, "by")
        )
        if point is None:
            units = self.units.nearest(where, ("by", "norm"), ("by",), ())
            point = (TEST_POINT if units is None else units) * self.training_point(dataset, arch, BASE)
        return point * job.points * len(job.eps)

    def training_point(self, dataset: str, arch: str, method: str) -> float:
        """Seconds of a training step, per point of its batch."""
        where = {"dataset": dataset, "arch": arch, "method": method}
        timed = self.training_points.nearest(where, (*NETWORK, "method"))
        if timed is not None:
            return timed
        rate = self.rates.nearest(where, NETWORK, ("arch",), ("method",), ())
        return self._operations(dataset, arch, method) * (OPERATION if rate is None else rate)

    def _described(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The records of models that the config still describes, each with the ``batch`` of its training."""
        batches = [self._batch(tuple(map(str, names))) for names in frame[list(MODEL)].itertuples(index=False)]
        return frame.assign(batch=pd.Series(batches, frame.index, dtype=float)).dropna(subset="batch")

    def _batch(self, names: tuple[str, ...]) -> int | None:
        try:
            return find_model(self.config, "/".join((*names[:-1], f"seed{names[-1]}"))).training.batch
        except UserError:
            return None


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
