import pytest
from tiny import Pipeline


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory):
    """A tiny grid, run once; a test that changes its config puts it back."""
    pipeline = Pipeline(tmp_path_factory.mktemp("pipeline") / "run")
    pipeline.run("demo")
    return pipeline
