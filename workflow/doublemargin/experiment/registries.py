"""What can be added to the pipeline as to the library (:mod:`dmcore.registries`): readers of source files.

Here and not with the readers, so that a config can be checked without the packages that they need.
"""

from __future__ import annotations

from collections.abc import Callable

from dmcore.registry import Registry

reader: Registry[Callable[..., dict]] = Registry("reader", "doublemargin.experiment.sources")
"""``read(paths, shape)``: train_x, test_x (N, C, H, W) uint8, train_y, test_y (N,) integers, if known train_group."""
