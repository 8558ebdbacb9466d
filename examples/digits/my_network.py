"""A network of one's own."""

from torch import nn

from dmcore.nets.builder import Builder
from dmcore.registries import architecture


@architecture("two_layers")
def two_layers(b: Builder, num_classes: int) -> nn.Module:
    """Two hidden layers."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 100),
        nn.ReLU(),
        nn.Linear(100, 100),
        nn.ReLU(),
        nn.Linear(100, num_classes),
    )
