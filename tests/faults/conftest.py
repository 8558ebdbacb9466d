import sys
from pathlib import Path

import pytest
from forking import Forks

TESTS = Path(__file__).parents[1]
sys.path += [str(TESTS / "workflow"), str(TESTS / "report")]  # for `tiny` and `results_folder`


@pytest.fixture(scope="session")
def forks(tmp_path_factory):
    """One warmed-up process to fork commands from."""
    forks = Forks(tmp_path_factory.mktemp("forks"))
    yield forks
    forks.close()


@pytest.fixture(scope="session")
def trainings(forks, tmp_path_factory):
    """A tiny training's undisturbed run, and any number of others."""
    from tiny_training import Trainings

    return Trainings(forks, tmp_path_factory.mktemp("trainings"))
