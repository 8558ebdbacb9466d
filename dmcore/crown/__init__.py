"""Linear relaxations (§2.3, CNN-Cert): linear bounds substituted backwards from a layer to the input.

- :mod:`relaxed`: a network with linear bounds in place of its layers, and :mod:`rounding`: its floating-point errors
- :mod:`backward`: the substitution itself
- :mod:`bounds`: the boxes of hidden layers, and bounds of the logits

Nothing of it is imported here: who uses one module shall not depend on the others.
"""
