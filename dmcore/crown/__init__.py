"""Linear relaxations (§2.3, CNN-Cert): linear bounds substituted backwards from a layer to the input.

- :mod:`relaxations`: the linear bounds of one ReLU or max-pool (Figure 3)
- :mod:`backward`: the substitution itself
- :mod:`intersected`: the same, no bound of which leaves the interval ones

Nothing of it is imported here: who uses one module shall not depend on the others.
"""
