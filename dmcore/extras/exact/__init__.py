"""Exact minima for small networks, by mixed-integer programming (Tjeng et al. 2019) with HiGHS (docs/certifiers.md).

- :mod:`program`: columns, rows and HiGHS
- :mod:`ball`: the inputs as columns
- :mod:`model`: a network as a program
- :mod:`margins`: the minima, with what the relaxations know, and the certifier that they make
"""

from dmcore.extras.exact.margins import Minima, exact_margins, minima

__all__ = ["Minima", "exact_margins", "minima"]
