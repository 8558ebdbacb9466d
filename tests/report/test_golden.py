"""Records and tables of a tiny grid, byte by byte as committed."""

import pytest
from golden_files import GOLDEN, make

AGAIN = "if this change is meant: python tests/report/golden_files.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    make(folder)
    return folder


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_same_files_are_made(made):
    assert names(made) == names(GOLDEN), AGAIN


@pytest.mark.parametrize("name", names(GOLDEN))
def test_bytes_are_the_same(made, name):
    assert (made / name).read_text() == (GOLDEN / name).read_text(), AGAIN
    assert (made / name).read_bytes() == (GOLDEN / name).read_bytes(), AGAIN
