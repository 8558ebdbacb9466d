"""Registries load what is asked for, and nothing else."""

import sys
from types import SimpleNamespace

import pytest
import torch

from dmcore.bounds import interval_bounds
from dmcore.errors import UserError
from dmcore.nets import build_net
from dmcore.registries import regularizer
from dmcore.registry import Registry, use_plugins

MODULE = """
from registry_of_things import thing

@thing("{name}")
def make(): return "{name}"
"""


def test_of_the_package_only_the_module_that_registers_the_name_is_imported(tmp_path, monkeypatch):
    package = tmp_path / "things"
    package.mkdir()
    (package / "good.py").write_text(MODULE.format(name="one"))
    (package / "broken.py").write_text("import a_package_that_is_not_there\n" + MODULE.format(name="two"))
    thing = Registry("thing", "things")
    monkeypatch.setitem(sys.modules, "registry_of_things", SimpleNamespace(thing=thing))
    monkeypatch.syspath_prepend(tmp_path)
    assert thing.names() == ["one", "two"]
    assert thing.get("one")() == "one"
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        thing.get("two")
    with pytest.raises(UserError, match="unknown thing 'on': did you mean 'one'"):
        thing.get("on")


PLUGIN = """
from dmcore.registries import architecture, regularizer
from torch import nn

@architecture("mine")
def mine(b, num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, num_classes))

@regularizer("{name}")
class Mine:
    strength: float = 1.0
"""


@pytest.fixture
def plugin(tmp_path):
    """Writes a plugin and uses it; nothing is left of it afterwards."""

    def written(text, name="my_methods.py"):
        (tmp_path / name).write_text(text)
        use_plugins([tmp_path / name])
        return tmp_path / name

    yield written
    use_plugins([])


def test_a_plugin_whose_path_would_be_taken_for_two_is_refused(plugin, tmp_path):
    (tmp_path / "a:b").mkdir()
    with pytest.raises(UserError, match="has a ':' in its path"):
        plugin(PLUGIN.format(name="my_term"), "a:b/my_methods.py")


def test_what_a_plugin_registers_is_known_checked_and_loaded(plugin):
    plugin(PLUGIN.format(name="my_term"))
    assert "my_term" in regularizer.names()
    with pytest.raises(UserError, match="regularizer 'my_term': strength must be a number, not 'much'"):
        regularizer.check("my_term", {"strength": "much"})
    assert regularizer.get("my_term").strength == 1.0
    plugin(PLUGIN.format(name="my_term").replace("1.0", "2.0"), "my_others.py")
    assert regularizer.get("my_term").strength == 2.0
    use_plugins([])
    with pytest.raises(UserError, match="unknown regularizer 'my_term'"):
        regularizer.get("my_term")


def test_an_architecture_may_return_a_module(plugin):
    plugin(PLUGIN.format(name="my_term"))
    net = build_net("mine", (1, 4, 4), 3, mean=[0.5], std=[0.5], members=2)
    x = torch.rand(2, 1, 4, 4)
    assert net(x).shape == (2, 3)
    lower, upper = interval_bounds(net, x, 0.01)
    assert ((lower < net(x)) & (net(x) < upper)).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def broken(:", r"cannot read .*my_methods\.py: invalid syntax"),
        (PLUGIN.format(name="worst_case"), "registers the regularizer 'worst_case', which is there already"),
    ],
)
def test_a_wrong_plugin_is_named(plugin, text, message):
    plugin(text)
    with pytest.raises(UserError, match=message):
        regularizer.names()


def test_a_plugin_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"the plugin .*nothing\.py is no file"):
        use_plugins([tmp_path / "nothing.py"])
