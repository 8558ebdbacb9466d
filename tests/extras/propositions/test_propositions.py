"""Propositions 1 and 2 against regularised optima that are really computed, for regularisers of the project."""

import pytest
import torch
from small_problem import DAMPING, at_minimum, damped, hessian_of, put, theta_of
from test_config import ROOT

from dmcore.errors import UserError
from dmcore.extras.propositions.added_loss import AddedLoss
from dmcore.extras.propositions.ranking import BASE, rank
from doublemargin.experiment.config import load_config
from doublemargin.experiment.resolve import method_spec

EPS, STEP = 0.02, 1e-4  # STEP: how far an optimum is from θ̂, of ‖θ̂‖
CONFIG = load_config(ROOT / "config.yaml")
METHODS = {
    "linear": ["ibp", "bounded_exact", "l1", "l2", "adv", "trades"],
    "relu": ["ibp", "dm", "dm_s_only", "bounded_exact", "relu_stability", "l1", "l2", "adv", "trades", "mmr"],
}


class Case:
    """One of the two problems, with everything that both propositions speak of, computed densely."""

    def __init__(self, kind):
        self.at, self.base = at_minimum(kind)
        self.methods = METHODS[kind]
        self.terms = {name: AddedLoss(method_spec(CONFIG, name, "cifar10")) for name in self.methods}
        self.start = theta_of(self.at)
        self.plain = self.at.gradient(lambda batch: batch.clean_loss)[1]
        self.inverse = torch.linalg.inv(damped(self.at))
        self.gradients = {name: self.term(name)[1] for name in self.methods}
        self.hessian = hessian_of(self.at)
        self.rankings = {target: self.rank(self.gradients, target) for target in self.methods}
        self.optima = {name: [self.optimum(name, half) for half in (1.0, 0.5)] for name in self.methods}

    def term(self, name):
        """(value, gradient) of R at the net's present weights."""
        return self.at.gradient(self.terms[name], EPS)

    def optimum(self, name, share):
        """(λ, θ*(λ)) with a step of about that share of STEP, by iterating θ ← θ − H⁻¹∇(base + λR)."""
        step = (self.inverse @ self.gradients[name]).norm()
        lam = share * STEP * (self.start.norm() / step).item()
        for _ in range(6):
            left = self.base()[1] + lam * self.term(name)[1]
            put(self.at, theta_of(self.at) - self.inverse @ left)
        left, theta = self.base()[1] + lam * self.term(name)[1], theta_of(self.at)
        put(self.at, self.start)
        assert left.norm() < 1e-13, name  # it is a minimum of the regularised loss
        return lam, theta

    def rank(self, gradients, target):
        """With dense products, as there are many targets."""
        return rank(lambda v: self.hessian @ v, {BASE: self.plain, **gradients}, target, DAMPING, 1e-10, 500)

    def at_weights(self, theta, compute):
        """What ``compute`` gives at other weights than θ̂."""
        put(self.at, theta)
        result = compute()
        put(self.at, self.start)
        return result

    def pairs(self):
        """(R₁, R₂, what the tool says of them)."""
        for target, ranking in self.rankings.items():
            for row in ranking.rows:
                if row.name != target:
                    yield row.name, target, row.comparison


@pytest.fixture(scope="module", params=["linear", "relu"])
def case(request):
    return Case(request.param)


def test_proposition_1(case):
    """The optimum is θ̂ − λH⁻¹∇R up to O(λ²): the error of half the step is a quarter."""
    for name in case.methods:
        errors = []
        for lam, theta in case.optima[name]:
            predicted = case.start - lam * case.inverse @ case.gradients[name]
            errors.append(((theta - predicted).norm() / case.start.norm()).item())
        assert errors[0] < 0.01 * STEP, name
        assert errors[0] / errors[1] == pytest.approx(4, rel=0.02), name


def test_proposition_2(case):
    """D(λ)/(½λ²) is ‖∇R₂‖² − ‖∇R₁ − ∇R₂‖² up to O(λ), and its sign is the criterion's."""
    helped = []
    for one, two, c in case.pairs():
        size, misses, falls = c.own + 2 * abs(c.cross), [], []
        for lam, theta in case.optima[one]:

            def regularized(lam=lam, two=two):
                return case.base()[0] + lam * case.term(two)[0]

            falls.append((regularized() - case.at_weights(theta, regularized)) / (lam**2 / 2))
            misses.append((falls[-1] - c.gain) / size)
        assert abs(misses[0]) < 0.01, (one, two)
        assert misses[1] == pytest.approx(misses[0] / 2, abs=1e-5), (one, two)
        if abs(c.gain) > 0.01 * size:
            assert (falls[1] > 0) == c.helps == (c.distance < c.target**0.5), (one, two)
            helped.append(c.helps)
    assert len(helped) > 0.9 * len(case.methods) * (len(case.methods) - 1)
    assert 0.2 < sum(helped) / len(helped) < 0.8


def test_the_target_changes_as_predicted(case):
    for one, two, c in case.pairs():
        lam, theta = case.optima[one][1]
        change = case.at_weights(theta, lambda two=two: case.term(two)[0]) - case.term(two)[0]
        assert change / lam == pytest.approx(c.target_change, abs=0.01 * (c.own * c.target) ** 0.5), (one, two)


def test_a_scaled_regulariser_helps_up_to_twice_the_best_scale(case):
    one, two, first = next((one, two, c) for one, two, c in case.pairs() if 0.2 < c.cosine < 0.9)
    scaled = {f: f * first.best_scale * case.gradients[one] for f in (0.9, 1.0, 1.1, 1.99, 2.01)}
    gradients = {str(f): g for f, g in scaled.items()} | {two: case.gradients[two]}
    rows = case.rank(gradients, two).rows
    assert [row.name for row in rows][:2] == [two, "1.0"]
    assert {row.name: row.comparison.helps for row in rows} == {name: name != "2.01" for name in gradients}
    assert rows[1].comparison.relative_distance == pytest.approx(first.distance_at_best_scale, rel=1e-6)


def test_inner_products_are_the_dense_ones_and_rows_are_sorted(case):
    for one, two, c in case.pairs():
        a, b = case.gradients[one], case.gradients[two]
        assert c.own == pytest.approx((a @ case.inverse @ a).item(), rel=1e-8)
        assert c.cross == pytest.approx((a @ case.inverse @ b).item(), abs=1e-8 * (c.own * c.target) ** 0.5)
    for target, ranking in case.rankings.items():
        distances = [row.comparison.distance for row in ranking.rows]
        assert distances == sorted(distances)
        assert ranking.rows[0].name == target
        assert ranking.base_norm == pytest.approx((case.plain @ case.inverse @ case.plain).sqrt().item(), rel=1e-8)


def test_a_target_without_a_gradient_is_refused(case):
    nothing = {"l1": case.gradients["l1"], "nothing": torch.zeros_like(case.start)}
    with pytest.raises(UserError, match="the target 'nothing' has no gradient here"):
        case.rank(nothing, "nothing")
    row = next(row for row in case.rank(nothing, "l1").rows if row.name == "nothing")
    assert (row.comparison.relative_distance, row.comparison.helps, row.steps) == (1, False, 0)
