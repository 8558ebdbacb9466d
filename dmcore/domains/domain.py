"""What an abstract domain is: one rule for each kind of layer, and a walk through the network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from torch import Tensor, nn

from dmcore.domains.first_layer import FirstLayer, first_layers
from dmcore.errors import UserError
from dmcore.nets.network import Network
from dmcore.perturbation.ball import Ball

Rule = TypeVar("Rule", bound=Callable)


class RuleTable:
    """Rules by layer class. A subclass has its parent's rules, too, and may replace any of them.

    ::

        @Interval.passes(MyLayer)
        def _(domain, layer, state): ...
    """

    rules: ClassVar[dict[type, Callable]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.rules = {}

    @classmethod
    def passes(cls, *kinds: type[nn.Module]) -> Callable[[Rule], Rule]:
        """Registers the rule by which this domain passes layers of these classes (and of their subclasses)."""

        def register(rule: Rule) -> Rule:
            cls.rules.update(dict.fromkeys(kinds, rule))
            return rule

        return register

    def rule(self, layer: nn.Module) -> Callable:
        """The rule for ``layer``: that of its class, or of the nearest base class that has one."""
        for kind in type(layer).__mro__:
            for table in type(self).__mro__:
                if issubclass(table, RuleTable) and kind in table.rules:
                    return table.rules[kind]
        raise UserError(f"{type(self).__name__} has no rule for the layer {type(layer).__name__}")


class Domain(RuleTable):
    """A domain that is carried forward, layer by layer, as a state of its own."""

    def start(self, ball: Ball) -> Any:
        """The state at the input, from the ball's bounding box, which is all that ℓ∞ needs."""
        raise NotImplementedError

    def first(self, layer: FirstLayer) -> Any | None:
        """The state behind a first affine layer, from its exact range; asked for under the norms other than ℓ∞ alone.

        None (the default) has the layer pass the bounding box by its rule, which is sound, but loses the norm.
        """
        return None

    def bounds(self, state: Any) -> tuple[Tensor, Tensor]:
        """(lower, upper) values that the state stands for."""
        raise NotImplementedError

    def step(self, layer: nn.Module, *states: Any) -> Any:
        """The state behind a layer, from those of its inputs."""
        return self.rule(layer)(self, layer, *states)

    def states(self, net: Network, ball: Ball) -> list[Any]:
        """The state of every node of ``net``, from the input to the logits."""
        first = {} if ball.norm == "linf" else first_layers(net, ball)
        states = [self.start(ball)]
        for node in net.nodes():
            state = self.first(first[node.index]) if node.index in first else None
            if state is None:
                state = self.step(node.layer, *(states[p] for p in node.parents))
            states.append(state)
        return states

    def output(self, net: Network, ball: Ball) -> Any:
        """The state at the logits."""
        return self.states(net, ball)[-1]
