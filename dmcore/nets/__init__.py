"""Networks: the graph of layers and the paper's architectures (Appendix G)."""

from dmcore.nets.architectures import build_net
from dmcore.nets.network import INPUT, Network, Node, as_network

__all__ = ["INPUT", "Network", "Node", "as_network", "build_net"]
