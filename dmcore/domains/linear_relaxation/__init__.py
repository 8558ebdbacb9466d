"""Linear relaxations (§2.3, CNN-Cert): linear bounds substituted backwards from a layer to the input.

- :mod:`coefficients`: the matrix ``A`` of ``A z + b``, dense or kept at receptive-field size
- :mod:`lines`: the linear bounds of one ReLU or max-pool (Figure 3)
- :mod:`reach`: how far such forms move over a ball of any norm (also the forward domains' first step)
- :mod:`forms`: what a substitution carries
- :mod:`backward`: the substitution itself
- :mod:`intersected`: the same, no bound of which leaves the interval ones

Nothing of it is imported here: a training whose forward domains need ``reach`` must not run again when the substitution
changes (:mod:`dmcore.source`).
"""
