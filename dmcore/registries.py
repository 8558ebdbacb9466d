"""What can be added to dmcore, by a class or function in a file of its own: one registry for each kind.

Here and not in the packages themselves, so that a config can be checked without importing torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmcore.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from dmcore.certifiers import Certifier
    from dmcore.data.reader import Reader
    from dmcore.domains import Domain
    from dmcore.nets.architectures import Builder
    from dmcore.regularizers import Regularizer

architecture: Registry[Callable[[Builder, int], None]] = Registry("architecture", "dmcore.nets")
certifier: Registry[type[Certifier]] = Registry("certifier", "dmcore.certifiers")
forward_domain: Registry[type[Domain]] = Registry("forward_domain", "dmcore.domains")
reader: Registry[Reader] = Registry("reader", "dmcore.data")
regularizer: Registry[type[Regularizer]] = Registry("regularizer", "dmcore.regularizers")
