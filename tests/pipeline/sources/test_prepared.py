import gzip
import shutil

import numpy as np
import pytest
import torch
from flips import named
from small_images import ROOT

from dmcore.data import load_images, test_points
from dmcore.errors import UserError
from doublemargin.experiment.config import load_config
from doublemargin.experiment.resolve import data_spec
from doublemargin.experiment.sources import prepare

SPEC = data_spec(load_config(ROOT / "config.yaml"), "mnist")
SPEC["sources"] = [{k: v for k, v in source.items() if k != "urls"} for source in SPEC["sources"]]  # tests go nowhere
test_points.__test__ = False  # not one of pytest's, for all its name


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    info = prepare("mnist", SPEC, folder / "mnist.safetensors", [], folder / "cache", ROOT / "resources")
    assert info.pop("sha256") == load_images(folder / "mnist.safetensors").info["sha256"]
    assert info == {
        "name": "mnist", "variant": "official", "source": {"format": "idx", "place": "resources"},
        "shape": [1, 28, 28], "classes": 10, "train": 60000, "test": 10000,
    }  # fmt: skip
    return folder / "mnist.safetensors"


def test_real_mnist(prepared):
    images = load_images(prepared)
    assert images.train.x.shape == (60000, 1, 28, 28)
    assert images.train.x.dtype == images.test.x.dtype == torch.uint8
    assert images.train.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert images.test.y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert images.test.y.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert images.train.x.double().mean().item() / 255 == pytest.approx(0.13066, abs=1e-5)
    assert images.train.x.double().std().item() / 255 == pytest.approx(0.30811, abs=1e-5)
    assert images.validation is None


@pytest.fixture
def source(tmp_path):
    return shutil.copytree(ROOT / "resources/mnist", tmp_path / "own/mnist")


def refused(source, tmp_path, message, **changes):
    with named(message):
        prepare("mnist", SPEC | changes, tmp_path / "out", [], tmp_path / "cache", source.parent)
    assert not (tmp_path / "out").exists()


def test_another_wrapping_of_the_same_content_is_taken(source, tmp_path):
    path = source / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 1))
    prepare("mnist", SPEC, tmp_path / "out", [], tmp_path / "cache", source.parent)
    (tmp_path / "out").unlink()
    path.write_bytes(gzip.compress(bytes(60008)))
    refused(source, tmp_path, f"{path} is not the pinned file (unpacked sha256 ")


def test_a_config_that_does_not_fit_the_data_is_named(source, tmp_path):
    refused(source, tmp_path, "images are (1, 28, 28), the config says shape (3, 32, 32)", shape=[3, 32, 32])
    refused(source, tmp_path, f"{source}: label 9, but the config says 5 classes", classes=5)
    refused(source, tmp_path, "test has 10000 images and labels (10000,), the config says 9999", test=9999)


def test_the_same_points_for_all_and_more_contain_fewer():
    points = test_points(10000, 200, 0)
    assert points == test_points(10000, 1000, 0)[:200]
    assert len(set(points)) == 200
    assert points != test_points(10000, 200, 1)
    assert points[:5] == np.random.default_rng(0).permutation(10000)[:5].tolist()
    assert sorted(test_points(10, 10, 3)) == list(range(10))


@pytest.mark.parametrize("count", [0, 11])
def test_more_points_than_there_are(count):
    with pytest.raises(UserError, match=f"{count} test points asked for, but the test set has 10"):
        test_points(10, count, 0)
