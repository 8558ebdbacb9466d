"""A training method of the config as one regulariser R: what it adds to the base loss."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from torch import Tensor

from dmcore.errors import UserError
from dmcore.regularizers import Batch
from dmcore.spec import Method
from dmcore.training.objective import Objective


class AddedLoss:
    """R = the sum of a method's regularisers at full strength, plus CE(z(x'), y) − CE(z, y) if it attacks.

    λ is the propositions', so the config's weights count only among each other. They are divided by the largest: R of a
    method with one regulariser is this itself. The gradient of an attacked loss is taken at the points x' found, as in
    training. Pruning and the number of members do not count.

    Raises:
        UserError: the method adds nothing to the base loss.
    """

    def __init__(self, method: Method) -> None:
        largest = 1.0 if method.attack else max((t.weight for t in method.regularizers), default=0.0)
        if not largest > 0:
            raise UserError(f"the method '{method.name}' adds nothing to the base loss: it has no gradient to compare")
        terms = tuple(replace(t, weight=t.weight / largest) for t in method.regularizers)
        self.method = replace(method, regularizers=terms)
        self.name, self.objective = method.name, Objective(self.method)

    def __call__(self, batch: Batch) -> Tensor:
        """R on the batch."""
        loss, _ = self.objective(batch)
        return loss - batch.clean_loss

    @property
    def norm(self) -> str | None:
        """The norm in which R measures ε; None if it knows no ε."""
        at_eps = self.objective.attack is not None or any(part.NEEDS_EPS for _, part in self.objective.terms)
        return self.objective.norm if at_eps else None

    def describe(self) -> dict[str, Any]:
        """Its parts as plain data, the weights as they count here."""
        return {key: asdict(self.method)[key] for key in ("regularizers", "attack")}
