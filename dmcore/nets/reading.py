"""The reading of a user's module as a network of ours: its ``forward`` is traced, layer by layer.

What is read computes what the module computes, up to rounding where a constant is worked out from others: the factors
of a BatchNorm are multiplied into the weights before it, once, in float64.
"""

from __future__ import annotations

import operator
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.parametrize import is_parametrized

from dmcore.errors import UserError
from dmcore.nets import layers
from dmcore.nets.network import INPUT, Network, Shape
from dmcore.nets.translate import IN_PLACE, MODULES, OPERATIONS, VIEWS, At, Reader, made, normalize

KNOWN = (
    "Conv2d, Linear, BatchNorm, ReLU, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d(1), ZeroPad2d, Flatten, Dropout, "
    "Identity, sums of branches, and arithmetic with constants"
)
OURS = (layers.Affine, layers.ReLU, layers.MaxPool, layers.Flatten, layers.Sum)


def as_network(net: nn.Module, shape: Shape | None = None, training: bool = False) -> Network:
    """``net`` as a graph: a :class:`Network` as it is, any other module by what its ``forward`` does.

    The graph shares the weights of convolutions and fully connected layers, so that bounds can be differentiated in
    them, except where a BatchNorm follows.

    Args:
        shape: of an input, without the batch axis; needed where the module averages over all positions or names the
            number of features.
        training: BatchNorms stay layers of their own; :func:`dmcore.nets.batch_norm.observed` gives them statistics.

    Raises:
        UserError: names the layer or the operation that no domain knows how to pass, and what to use in its place.
    """
    _refuse_tricks(net)
    if isinstance(net, Network):
        return net
    net = nn.Sequential(net) if type(net) in MODULES else net
    state = torch.get_rng_state()
    try:
        traced = _Tracer().trace(net)
    except UserError:
        raise
    except Exception as error:  # whatever the module's own code raises where it looks at values
        reason = " ".join(str(error).split())[:150]
        raise UserError(
            f"cannot read the forward of {type(net).__name__} ({reason}): it must be a fixed chain of layers, sums and "
            "reshapings that does not depend on values"
        ) from error
    if not torch.equal(state, torch.get_rng_state()):
        raise UserError(f"the forward of {type(net).__name__} draws random numbers: no two runs compute the same")
    shapes = [] if shape is None else [shape]
    graph = Reading(net, traced, shapes=shapes, training=training).read().train(net.training)
    if shape is not None:
        _compare(net, graph, shape)
    return graph


@torch.no_grad()
def _compare(net: nn.Module, graph: Network, shape: Shape) -> None:
    """Refuses a graph that does not compute what the module does, whatever the reason."""
    like = next((p for p in net.parameters()), torch.zeros((), device="cpu"))
    if like.is_meta:  # without values
        return
    generator = torch.Generator(like.device).manual_seed(0)
    x = torch.randn((4, *shape), generator=generator, dtype=like.dtype, device=like.device)
    x[:2] = x[:2].abs().clamp(max=1)
    expected, found = net(x.clone()), graph(x)
    finite = expected.isfinite()  # certificates of other values are refused elsewhere
    scale = expected[finite].abs().max().clamp(min=1) if finite.any() else 1.0
    if (
        expected.shape != found.shape
        or ((expected - found).abs() > torch.finfo(like.dtype).eps ** 0.5 * scale)[finite].any()
    ):
        raise UserError(
            f"{type(net).__name__} computes something else than its layers, read one by one: it may change values in "
            "place, or hold a state"
        )


CALLED = ("__call__", "_call_impl", "_wrapped_call_impl", "__getattr__", "__getattribute__")
"""What calling a module calls before its ``forward``: a class that defines one of these may compute anything."""

WRAPPERS = {
    "OptimizedModule": "what was compiled, its ._orig_mod",
    "DataParallel": "its .module",
    "DistributedDataParallel": "its .module",
    "RecursiveScriptModule": "the module that was scripted",
    "TopLevelTracedModule": "the module that was traced",
}
"""Classes of torch that stand around a network, and what to read in their place."""


def _refuse_tricks(net: nn.Module) -> None:
    """Refuses what a look at ``forward`` does not show."""
    every = torch.nn.modules.module
    if every._global_forward_hooks or every._global_forward_pre_hooks:
        raise UserError("torch has hooks for all modules' forward, which may change what the network computes")
    for name, module in net.named_modules(remove_duplicate=True):
        what = f"layer {name}" if name else "the network"
        if type(module).__name__ in WRAPPERS:
            raise UserError(f"{what} is wrapped ({type(module).__name__}): pass {WRAPPERS[type(module).__name__]}")
        inherited = [kind for kind in type(module).__mro__ if kind not in nn.Module.__mro__]
        own = [kind for kind in inherited if not kind.__module__.startswith(("torch.nn.modules", "dmcore."))]
        hooked = module._forward_hooks or module._forward_pre_hooks or {*CALLED, "forward"} & vars(module).keys()
        if hooked or any({*CALLED} & vars(kind).keys() for kind in own):
            raise UserError(
                f"{what} ({type(module).__name__}) has hooks, which may change what it computes: remove them (those "
                "of torch.nn.utils' weight_norm, spectral_norm and prune by remove_weight_norm, …, prune.remove)"
            )
        if isinstance(module, Network) and any({"forward", "walk"} & vars(kind).keys() for kind in own):
            raise UserError(f"{what} ({type(module).__name__}) changes what a Network computes")


class _Tracer(fx.Tracer):
    """Records a module's forward down to torch's own layers and ours."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, OURS) or _of_torchvision(module) or super().is_leaf_module(module, name)


def _of_torchvision(module: nn.Module) -> bool:
    """Whether it is torchvision's Normalize."""
    return type(module).__name__ == "Normalize" and type(module).__module__.startswith("torchvision.")


@dataclass
class Reading(Reader):
    """The reading of a module, under way.

    Attributes:
        values: what each traced value is: a node of the network, or a constant.
        now: the traced operation that is being read, for messages.
    """

    module: nn.Module
    traced: fx.Graph
    values: dict[fx.Node, Any] = field(default_factory=dict)
    now: str = ""

    def read(self) -> Network:
        """The whole network."""
        inputs = [node for node in self.traced.nodes if node.op == "placeholder" and node.users]
        if len(inputs) != 1:
            raise UserError(f"{type(self.module).__name__} takes {len(inputs)} inputs; one is known, a batch")
        for node in self.traced.nodes:
            if node.op == "placeholder":
                self.values[node] = At(INPUT)
            elif node.op == "output":
                (result,) = node.args
                if not self.net.parents:
                    raise UserError(f"{type(self.module).__name__} computes nothing: it has no layers")
                if not isinstance(result, fx.Node) or self.values[result] != At(self.net.output):
                    raise UserError(f"the output of {type(self.module).__name__} must be one layer's, the last one's")
            else:
                self.values[node] = self._operation(node)
        return folded(self.net, self.factors)

    def _operation(self, node: fx.Node) -> Any:
        if node.op == "get_attr":
            return operator.attrgetter(str(node.target))(self.module)
        if node.op == "call_module":
            module = self.module.get_submodule(str(node.target))
            self.now = f"layer {node.target} ({type(module).__name__})"
            if node.kwargs:
                raise self.refuse("is called with keywords, which are not known")
            if getattr(module, "inplace", False):
                self._in_place(node)
            return At(self.layer(module, *(self._node(arg) for arg in node.args)))
        name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
        place = next(reversed(node.meta.get("nn_module_stack", {}).values()), None)
        self.now = f"the operation '{name}'" + (f" in layer {place[0]} ({place[1].__name__})" if place else "")
        if node.target in IN_PLACE or node.kwargs.get("inplace") or (name == "relu" and len(node.args) > 1):
            self._in_place(node)
        args, options = fx.node.map_arg((node.args, node.kwargs), self.values.__getitem__)
        read = OPERATIONS.get(node.target)
        if read is None:
            raise UserError(f"{self.now} cannot be bounded; known: {KNOWN}")
        return read(self, *args, **options)

    def _in_place(self, node: fx.Node) -> None:
        """Refuses an operation that changes a value, or what shares its memory, that is read again afterwards."""
        order = {other: place for place, other in enumerate(self.traced.nodes)}
        changed = node.args[0] if node.args else None
        while isinstance(changed, fx.Node):
            if not isinstance(self.values.get(changed), At) or any(order[user] > order[node] for user in changed.users):
                raise self.refuse("changes in place what is read again afterwards")
            target = (
                type(self.module.get_submodule(str(changed.target))) if changed.op == "call_module" else changed.target
            )
            changed = changed.args[0] if target in VIEWS | IN_PLACE and changed.args else None

    def _node(self, arg: Any) -> int:
        value = self.values[arg] if isinstance(arg, fx.Node) else arg
        if not isinstance(value, At):
            raise UserError(f"{self.now} is called with a constant")
        return value.index

    def refuse(self, why: str) -> UserError:
        return UserError(f"{self.now}: {why}")

    def misfit(self, reason: str) -> UserError:
        return UserError(f"input {self.shapes[INPUT]} does not fit the network: {self.now}: {reason}")

    @cached_property
    def like(self) -> Tensor:
        """A tensor of the dtype and on the device of the module's weights."""
        return next((p for p in self.module.parameters()), torch.zeros((), device="cpu")).detach()

    def layer(self, module: nn.Module, *parents: int) -> int:
        """Appends what stands for a module; returns its node."""
        for kind, read in MODULES.items():
            if type(module) is kind:
                return read(self, module, *parents)
        if _of_torchvision(module):
            return normalize(self, module, *parents)
        if isinstance(module, OURS):
            return self.append(module, *parents)
        hint = HINTS.get(type(module).__name__.lower(), "")
        if is_parametrized(module):
            hint = ". Make its weights plain ones: torch.nn.utils.parametrize.remove_parametrizations"
        raise UserError(f"{self.now} cannot be bounded; known: {KNOWN}{hint}")


HINTS = {
    name.lower(): f". {name} is not piecewise linear: train with ReLU"
    for name in ("Tanh", "Sigmoid", "GELU", "SiLU", "ELU", "Softplus", "Hardswish", "Mish")
} | {"softmax": ". Leave out the last Softmax: margins are those of the logits"}


def folded(net: Network, factors: dict[nn.Module, tuple[Tensor, Tensor]]) -> Network:
    """``net`` with each BatchNorm in the weights of the layer before it, where nothing else reads that."""
    readers = Counter(parent for parents in net.parents for parent in parents)
    folded, place = Network(), {INPUT: INPUT}
    for node in net.nodes():
        parents = [place[p] for p in node.parents]
        before: Any = folded.layers[parents[0] - 1] if parents[0] != INPUT else None
        affine = isinstance(before, layers.Conv | layers.Linear) and before not in factors
        if node.layer in factors and affine and readers[node.parents[0]] == 1:
            scale, shift = factors[node.layer]
            shift = shift if before.bias is None else shift + before.bias.detach().double() * scale
            weight = before.weight.detach().double() * scale.view(-1, *[1] * (before.weight.dim() - 1))
            merged = made(type(before), weight, shift, before.weight.dtype)
            if isinstance(before, layers.Conv):
                merged.stride, merged.padding = before.stride, before.padding
                merged.dilation, merged.groups = before.dilation, before.groups
            folded.layers[parents[0] - 1] = merged
            place[node.index] = parents[0]
        else:
            place[node.index] = folded.add(node.layer, parents)
    return folded
