"""The layers a network is made of.

A layer is an ordinary ``torch.nn.Module``. What the abstract domains need of it is small: an affine layer says
``W x``, ``|W| x`` and ``Wᵀ g`` (:class:`Affine`); the others are told apart by their class. A new affine layer is
therefore one class here and works in every domain; a layer of a new kind registers a rule with each domain
(``Interval.passes(MyLayer)``), which can stand in the layer's own file.
"""

from dmcore.nets.layers.affine import Affine, Conv, Diagonal, Linear, Normalize, Scale
from dmcore.nets.layers.batch_norm import BatchNorm
from dmcore.nets.layers.nonlinear import MaxPool, Nonlinear, ReLU
from dmcore.nets.layers.structure import Flatten, Sum

__all__ = [
    "Affine",
    "BatchNorm",
    "Conv",
    "Diagonal",
    "Flatten",
    "Linear",
    "MaxPool",
    "Nonlinear",
    "Normalize",
    "ReLU",
    "Scale",
    "Sum",
]
