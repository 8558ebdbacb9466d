"""Registries load what is asked for, and nothing else."""

import sys
from types import SimpleNamespace

import pytest

from dmcore.errors import UserError
from dmcore.registry import Registry

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
    thing._folder = package
    monkeypatch.setitem(sys.modules, "registry_of_things", SimpleNamespace(thing=thing))
    monkeypatch.syspath_prepend(tmp_path)
    assert thing.names() == ["one", "two"]
    assert thing.get("one")() == "one"
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        thing.get("two")
    with pytest.raises(UserError, match="unknown thing 'on': did you mean 'one'"):
        thing.get("on")
