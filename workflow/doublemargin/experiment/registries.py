"""What can be added to the pipeline as to the library (:mod:`dmcore.registries`): readers of files, kinds of figures.

Here and not with these themselves, so that a config can be checked without the packages that they need.
"""

from __future__ import annotations

from collections.abc import Callable

from dmcore.registry import Registry

figure: Registry[Callable[..., None]] = Registry("figure", "doublemargin.report.figures")
"""``write(exhibit, records, stem)`` draws a resolved exhibit (:mod:`doublemargin.experiment.exhibits`) from the records
into ``stem.png``, ``stem.svg`` and ``stem.pdf``."""

reader: Registry[Callable[..., dict]] = Registry("reader", "doublemargin.experiment.sources")
"""``read(paths, shape)``: train_x, test_x (N, C, H, W) uint8, train_y, test_y (N,) integers, if known train_group."""
