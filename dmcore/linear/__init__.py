"""Linear forms ``A z + b`` of a network's values.

- :mod:`coefficients`: what the matrix ``A`` can do: :mod:`dense`, :mod:`patches` (kept at receptive-field size), and
  not written out until it must be (:mod:`fused`)
- :mod:`unit`: a node's values themselves as such forms
- :mod:`forms`: what a substitution carries
- :mod:`concretize`: how far such forms move over a ball of any norm
- :mod:`relaxations`: the linear bounds of one ReLU or max-pool (Figure 3)
- :mod:`intervals`, :mod:`rounding`: a box through a linear layer, and how much floating point may err
- :mod:`chunks`: the memory budget, and work that is split to stay within it

Nothing of it is imported here: who uses one module shall not depend on the others.
"""
