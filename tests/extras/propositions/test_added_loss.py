"""A method as one regulariser, against its parts."""

import torch
import torch.nn.functional as F
from small_problem import problem
from test_config import ROOT

from dmcore.extras.propositions.added_loss import AddedLoss
from dmcore.registries import regularizer
from dmcore.regularizers import Batch
from doublemargin.experiment.config import load_config
from doublemargin.experiment.resolve import method_spec

CONFIG = load_config(ROOT / "config.yaml")
EPS = 0.05


def added(name, dataset="mnist"):
    return AddedLoss(method_spec(CONFIG, name, dataset))


def batch():
    at = problem()
    return Batch(at.net, at.x, at.y, EPS, torch.Generator().manual_seed(3))


def test_a_method_of_one_regulariser_is_this_itself_whatever_its_weight():
    expected = regularizer.get("worst_case")(domain="interval", clip_input=True).value(batch())
    torch.testing.assert_close(added("ibp")(batch()), expected)
    torch.testing.assert_close(added("ibp_quarter")(batch()), expected)
    torch.testing.assert_close(added("l1")(batch()), regularizer.get("weight_norm")(norm="l1").value(batch()))


def test_the_weights_of_several_count_among_each_other():
    dm = regularizer.get("worst_case")(domain="double_margin").value(batch())
    l1 = regularizer.get("weight_norm")(norm="l1").value(batch())
    torch.testing.assert_close(added("dm_l1")(batch()), dm + 4e-5 * l1)
    assert [t["weight"] for t in added("dm_l1").describe()["regularizers"]] == [1.0, 4e-5]


def test_an_attack_adds_what_it_costs():
    at, term = batch(), added("adv_rs_pruning")
    attacked = term.objective.attack.perturb(at.net, at.x, at.y, EPS, at.generator)
    stability = regularizer.get("relu_stability")(clip_input=True, positions="sum").value(at)
    expected = F.cross_entropy(at.net(attacked), at.y) - at.clean_loss + 1e-4 * stability
    torch.testing.assert_close(term(batch()), expected)
    assert term.describe()["attack"]["options"]["steps"] == 40
    assert added("adv_rs_pruning", "gtsrb").describe()["attack"]["options"]["steps"] == 10


def test_the_norm_of_epsilon():
    assert [added(name).norm for name in ("l1", "adv", "dm_for_l2", "dm_l1")] == [None, "linf", "l2", "linf"]
