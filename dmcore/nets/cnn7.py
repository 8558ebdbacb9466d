"""CNN7, the network on which today's methods are compared (Shi et al. 2021 and later)."""

from __future__ import annotations

from torch import nn

from dmcore.nets.builder import Builder
from dmcore.registries import architecture


@architecture("cnn7")
def _cnn7(b: Builder, num_classes: int) -> nn.Module:
    """CNN7, 7 layers, all but the last with batch normalisation in training."""
    channels, height, width = b.shape
    layers: list[nn.Module] = []
    for filters, stride in ((64, 1), (64, 1), (64, 2), (128, 1), (128, 1)):
        layers += [nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU()]
        channels = filters
    features = channels * ((height + 1) // 2) * ((width + 1) // 2)
    layers += [nn.Flatten(), nn.Linear(features, 512, bias=False), nn.BatchNorm1d(512), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(512, num_classes))
