"""Rules by layer class, the way in which every domain says what each kind of layer does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from torch import nn

from dmcore.errors import UserError

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
