"""Networks: the graph of layers, the paper's architectures (Appendix G), ensembles (H.2) and the pruning of ReLUs."""

from dmcore.nets.builder import build_net
from dmcore.nets.network import INPUT, Network, Node
from dmcore.nets.reading import as_network

__all__ = ["INPUT", "Network", "Node", "as_network", "build_net"]
