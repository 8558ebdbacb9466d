"""The paper's six architectures (Appendix G): filters from the paper, kernels and strides from the authors' code.

A new architecture is one function under ``@architecture("name")``; its name is then valid in ``config.yaml``.
``dmcore info --architectures`` prints its layers for each input size.
"""

from __future__ import annotations

from dmcore.nets.builder import Builder
from dmcore.registries import architecture


@architecture("small")
def _small(b: Builder, num_classes: int) -> None:
    """Small CNN, 4 layers."""
    b.conv(16, kernel=4, stride=2)
    b.relu()
    b.conv(32, kernel=4)
    b.relu()
    b.fc(100)
    b.relu()
    b.fc(num_classes)


@architecture("pureconv")
def _pureconv(b: Builder, num_classes: int) -> None:
    """Pureconv CNN, 4 layers: no padding, as in CNN-Cert."""
    for _ in range(3):
        b.conv(16, kernel=3, same=False)
        b.relu()
    b.fc(num_classes)


@architecture("medium")
def _medium(b: Builder, num_classes: int) -> None:
    """Medium CNN, 7 layers: no padding."""
    for filters in (16, 32):
        b.conv(filters, kernel=3, same=False)
        b.relu()
        b.conv(filters, kernel=4, stride=2, same=False)
        b.relu()
    for _ in range(2):
        b.fc(512)
        b.relu()
    b.fc(num_classes)


@architecture("large")
def _large(b: Builder, num_classes: int) -> None:
    """Large CNN, 7 layers: the third convolution halves the image."""
    for filters, stride in ((64, 1), (64, 1), (64, 2), (128, 1), (128, 1)):
        b.conv(filters, kernel=3, stride=stride)
        b.relu()
    b.fc(200)
    b.relu()
    b.fc(num_classes)


@architecture("pooling")
def _pooling(b: Builder, num_classes: int) -> None:
    """Pooling CNN, 5 layers: each convolution followed by a max-pooling that halves the image."""
    for _ in range(2):
        b.conv(16, kernel=3)
        b.relu()
        b.max_pool(2)
    b.fc(num_classes)


@architecture("resnet")
def _resnet(b: Builder, num_classes: int) -> None:
    """1-Resnet CNN, 4 layers: one residual block of two convolutions, its input added before the last ReLU."""
    b.conv(16, kernel=3)
    block = b.relu()
    b.conv(16, kernel=3)
    b.relu()
    b.conv(16, kernel=3)
    b.add_skip(block)
    b.relu()
    b.fc(num_classes)
