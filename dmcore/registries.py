"""What can be added to dmcore, by a class or function in a file of its own: one registry for each kind.

Here and not in the packages themselves, so that a config can be checked without importing torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dmcore.registry import Registry

architecture: Registry[Callable[..., Any]] = Registry("architecture", "dmcore.nets")
"""``build(builder, num_classes)`` appends a network's layers, or returns a module that has them."""

attack: Registry[type] = Registry("attack", "dmcore.attacks")
"""A :class:`dmcore.attacks.Attack`."""

certifier: Registry[Any] = Registry("certifier", "dmcore.certifiers", "dmcore.extras.exact")
"""A :class:`dmcore.certifiers.Certifier`."""

forward_domain: Registry[type] = Registry("forward_domain", "dmcore.domains")
"""A :class:`dmcore.domains.Domain`."""

regularizer: Registry[type] = Registry("regularizer", "dmcore.regularizers")
"""A :class:`dmcore.regularizers.Regularizer`."""
