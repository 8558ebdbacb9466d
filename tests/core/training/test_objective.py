"""A method's parts in one objective: any of them with any other."""

import pytest
import torch
from small_images import L1, digits, model, worst_case

from dmcore.attacks.pgd import Pgd
from dmcore.nets import build_net
from dmcore.regularizers import Batch
from dmcore.spec import AttackSpec, Method, Pruning, Term
from dmcore.training.loop import train
from dmcore.training.objective import Objective
from dmcore.training.pruning import WeightPruner
from dmcore.training.step import seeded_net

CPU = torch.device("cpu")
PGD = AttackSpec("pgd", {"steps": 3, "step": 0.05, "random_start": False})


def batch(eps, ramp=1.0, seed=0):
    torch.manual_seed(seed)
    x, y = digits().train.x[:20].float() / 255, digits().train.y[:20]
    return Batch(build_net("small", (1, 28, 28), 10), x, y, eps, torch.Generator().manual_seed(0), ramp)


def test_the_base_loss_is_taken_on_the_attacked_inputs():
    at = batch(0.1)
    objective = Objective(Method("adv", attack=PGD))
    loss, parts = objective(at)
    attacked = objective.attack.perturb(at.net, at.x, at.y, 0.1, None)
    expected = torch.nn.functional.cross_entropy(at.net(attacked), at.y)
    torch.testing.assert_close(loss, expected)
    assert set(parts) == {"attacked"}
    assert loss > at.clean_loss
    torch.testing.assert_close(at.worst_logits, at.net(attacked))


def test_an_attack_a_bound_and_a_norm_together_and_in_the_warm_up_the_norm_alone():
    objective = Objective(Method("all", (worst_case("double_margin"), L1), attack=PGD))
    loss, parts = objective(batch(0.1, ramp=0.5))
    expected = parts["attacked"] + 0.25 * parts["worst_case_double_margin"] + 2e-5 * parts["weight_norm_l1"]
    torch.testing.assert_close(loss.detach(), expected)
    loss, parts = objective(at := batch(0.0, ramp=0.0), ramping=False)
    assert set(parts) == {"clean", "weight_norm_l1"}
    torch.testing.assert_close(loss, at.clean_loss + 2e-5 * parts["weight_norm_l1"])


def test_a_falling_weight_is_the_rest_of_the_ramp():
    method = Method("warm", (Term("shi_warmup", 2.0, "fall"),))
    at = batch(0.1, ramp=0.75)
    loss, parts = Objective(method)(at)
    torch.testing.assert_close(loss, at.clean_loss + 0.5 * parts["shi_warmup"])
    assert set(Objective(method)(batch(0.1))[1]) == {"clean"}
    assert set(Objective(method)(batch(0.0, ramp=0.0), ramping=False)[1]) == {"clean"}


def test_terms_and_base_loss_share_one_attack(monkeypatch):
    attacks, perturb = [], Pgd.perturb
    monkeypatch.setattr(Pgd, "perturb", lambda *given, **more: attacks.append(1) or perturb(*given, **more))
    mapping = {"kind": PGD.kind, **PGD.options}
    terms = [
        Term("expressive", 0.5, True, {"blend": "mtl", "alpha": 0.5, "attack": mapping}),
        worst_case("interval", form="elided", around=mapping, share=0.5),
    ]
    Objective(Method("all", tuple(terms), attack=PGD))(batch(0.1))
    assert len(attacks) == 1


def under_attack(trained):
    """The share of points that an attack leaves right."""
    x, y = digits().test.x[:200].float() / 255, digits().test.y[:200]
    attacked = Pgd(20, step_of_eps=0.1).perturb(trained.net, x, y, 0.1, torch.Generator().manual_seed(1))
    return (trained.net(attacked).argmax(1) == y).float().mean().item()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("terms", "method"),
    [
        ((), {"attack": AttackSpec("pgd", {"steps": 5, "step_of_eps": 0.4})}),
        ((Term("trades", 3.0, False, {"steps": 3, "step_of_eps": 0.5}),), {}),
    ],
)
def test_training_against_attacks_resists_them_and_normal_training_does_not(terms, method):
    steps = {"steps": 80, "warmup": 0, "ramp": 0, "lr": 2e-3}
    normal = train(model(**steps), digits(), CPU)
    robust = train(model(*terms, eps="0.1", **steps, **method), digits(), CPU)
    assert under_attack(normal) < 0.5
    assert under_attack(robust) > max(0.6, under_attack(normal) + 0.2)
    last = robust.history[-1]
    assert last["accuracy"] > last["robust_accuracy"] > 0.5


def test_pruned_weights_stay_zero_and_the_rest_trains_on():
    threshold = 0.01
    spec = model(steps=100, warmup=10, ramp=20, pruning=Pruning(weights=threshold))
    free, pruned = train(model(steps=100, warmup=10, ramp=20), digits(), CPU).net, train(spec, digits(), CPU).net
    for layer, other in ((pruned.layers[5], free.layers[5]), (pruned.layers[2], free.layers[2])):
        alive = layer.weight[layer.weight != 0]
        assert alive.abs().min() >= threshold
        zeros = (layer.weight == 0).float().mean()
        assert zeros > 0.05
        assert (other.weight == 0).float().mean() == 0
    weight, first = pruned.layers[5].weight, seeded_net(spec).layers[5].weight
    assert (weight != first)[weight != 0].float().mean() > 0.5  # those of an input that is always 0 never move


def test_a_pruner_holds_and_extends():
    net = build_net("small", (1, 28, 28), 10)
    weight = net.layers[0].weight
    with torch.no_grad():
        weight.fill_(1.0)
        weight[0] = 1e-4
    pruner = WeightPruner(net, 1e-3)
    pruner.prune()
    assert (weight[0] == 0).all()
    with torch.no_grad():
        weight.add_(5e-4)  # as an optimiser's step might
        weight[1] = -5e-4
    pruner.hold()
    assert (weight[0] == 0).all()
    assert (weight[1] == -5e-4).all()  # not below the threshold when it was pruned last
    pruner.prune()
    assert (weight[1] == 0).all()
    assert (weight[2] == 1.0005).all()
    again = WeightPruner(net, 1e-3)
    again.resume()
    assert all(torch.equal(a, b) for a, b in zip(again.alive, pruner.alive, strict=True))
