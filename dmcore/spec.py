"""What one training run is: everything that decides its result, and nothing else. Needs no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from dmcore.eps import Eps
from dmcore.errors import UserError
from dmcore.files import digest

MEND = "`dmcore spec demo/mnist/small/dm/0.3/seed0` prints one"


@dataclass(frozen=True)
class Term:
    """One weighted regulariser of a method, as in the config.

    Attributes:
        ramp: whether its weight grows with ε (True), falls to 0 while ε grows, or stays.
    """

    kind: str
    weight: float
    ramp: bool | Literal["fall"] = False
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """A name for the history, telling apart two terms of one kind."""
        told = [str(v) for v in self.options.values() if isinstance(v, str)]
        return "_".join([self.kind, *told])


@dataclass(frozen=True)
class AttackSpec:
    """The attack on whose result a method takes its base loss."""

    kind: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pruning:
    """Pruning of weights once the ramp is over, and of ReLUs at the end (Xiao et al. 2019).

    Attributes:
        weights: weights smaller than this in magnitude are set to 0 and stay there; 0 prunes none.
        relus: ReLUs that take the same side on all but this share of the training inputs are replaced by the identity
            or by 0; None leaves them alone.
    """

    weights: float = 0.0
    relus: float | None = None


@dataclass(frozen=True)
class Method:
    """A training method: a base loss on clean or attacked inputs, plus weighted regularisers, plus pruning.

    Attributes:
        members: how many networks are trained together on their averaged logits and margins (Appendix H.2).
        init: ``normal``, the paper's initialisation, or ``ibp``, that of Shi et al. (2021).
    """

    name: str
    regularizers: tuple[Term, ...] = ()
    attack: AttackSpec | None = None
    pruning: Pruning | None = None
    members: int = 1
    init: str = "normal"

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Method:
        """Back from plain data."""
        parts = {
            "regularizers": tuple(Term(**t) for t in data["regularizers"]),
            "attack": AttackSpec(**data["attack"]) if data.get("attack") else None,
            "pruning": Pruning(**data["pruning"]) if data.get("pruning") else None,
        }
        return cls(**data | parts)


@dataclass(frozen=True)
class Training:
    """A schedule for one data set, in steps of ``batch`` points (§3.2 "Training Procedure").

    λ and ε are 0 in the warm-up, then rise on a ramp, then are constant.

    Attributes:
        lr_divisor: by what the learning rate is divided at each of ``lr_drops``.
        ramp_shape: ``linear``, or ``smooth`` as in today's certified training: τ⁴ up to a quarter of the ramp, where
            that is 1/13, then a line of the same slope.
        clip: the largest ℓ₂ norm of all gradients together; 0 leaves them alone.
    """

    batch: int
    steps: int
    warmup: int
    ramp: int
    lr: float
    lr_drops: tuple[int, ...]
    optimizer: str = "adam"
    lr_divisor: float = 10.0
    ramp_shape: str = "linear"
    clip: float = 0.0

    def ramp_factor(self, step: int) -> float:
        """The share of the final λ and ε in force at ``step`` (0-based), in [0, 1]."""
        if step < self.warmup:
            return 0.0
        share = min((step - self.warmup + 1) / max(self.ramp, 1), 1.0)
        if self.ramp_shape == "linear":
            return share
        return (4 * share) ** 4 / 13 if share <= 0.25 else (16 * share - 3) / 13

    def learning_rate(self, step: int) -> float:
        """The learning rate at ``step``."""
        return self.lr / self.lr_divisor ** sum(step >= drop for drop in self.lr_drops)


LATER: dict[str, dict[str, Any]] = {
    "method": {"init": Method.init},
    "training": {key: getattr(Training, key) for key in ("lr_divisor", "ramp_shape", "clip")},
}
"""Settings that came later. At these values a specification leaves them out: its hash stays that of the records made
before."""


@dataclass(frozen=True)
class ModelSpec:
    """One model of the grid, resolved: its path parts and all its settings.

    Attributes:
        eps: ε_train's id, ``none`` for a method that has no ε.
        dataset: what of the data set's entry matters to a model (shape, classes, normalisation, augmentation,
            validation split). Not its variant, which is known only once the data are prepared.
    """

    schedule: str
    dataset_name: str
    arch: str
    eps: str
    seed: int
    method: Method
    training: Training
    dataset: dict[str, Any]

    @property
    def eps_value(self) -> float:
        """ε_train in pixel scale; 0 for a method that has none."""
        return 0.0 if self.eps == "none" else float(Eps.parse(self.eps))

    @property
    def path(self) -> str:
        """``<schedule>/<dataset>/<arch>/<method>/<ε_train>/seed<k>``."""
        return "/".join([self.schedule, self.dataset_name, self.arch, self.method.name, self.eps, f"seed{self.seed}"])

    @property
    def network(self) -> dict[str, Any]:
        """What :func:`dmcore.nets.build_net` takes for the model's network, before any ReLU is pruned."""
        shape, normalize = tuple(self.dataset["shape"]), self.dataset.get("normalize") or {}
        sizes = {"in_shape": shape, "num_classes": self.dataset["classes"], "members": self.method.members}
        return {"arch": self.arch, **sizes, **normalize}

    @property
    def uses(self) -> list[Any]:
        """The parts that say which network, attack and regularisers the training asks for, and which options."""
        method = asdict(self.method)
        return [self.arch, method["attack"], method["regularizers"]]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        data = asdict(self)
        for part, defaults in LATER.items():
            data[part] = {key: value for key, value in data[part].items() if (key, value) not in defaults.items()}
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ModelSpec:
        """Back from :meth:`to_dict`.

        Raises:
            UserError: the data are of something else, or of another version.
        """
        try:
            training = Training(**data["training"] | {"lr_drops": tuple(data["training"]["lr_drops"])})
            return cls(**data | {"method": Method.from_dict(data["method"]), "training": training})
        except KeyError as error:
            raise UserError(f"no specification of a model, it has no {error}: {MEND}") from error
        except (TypeError, AttributeError) as error:
            reason = str(error).rpartition("__init__() ")[2]
            raise UserError(f"no specification of a model as this version writes it ({reason}): {MEND}") from error

    @property
    def hash(self) -> str:
        """Changes with anything that could change the trained model."""
        return digest(self.to_dict())
