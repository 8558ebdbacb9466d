"""Each format's reader gives back the pixels and labels that were written, and says in one line what is wrong."""

import gzip
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from small_sources import (
    PATHS,
    SHAPE,
    TEST_X,
    TEST_Y,
    TRAIN_X,
    TRAIN_Y,
    cifar,
    gtsrb,
    idx,
    images,
    npzs,
    parquet,
    parquets,
    same,
)

from dmcore.data import load_images, pixels
from dmcore.errors import UserError
from doublemargin.experiment.sources.cifar import read_cifar_binary
from doublemargin.experiment.sources.csv import read_csv
from doublemargin.experiment.sources.gtsrb import read_gtsrb
from doublemargin.experiment.sources.idx import read_idx
from doublemargin.experiment.sources.npz import read_npz
from doublemargin.experiment.sources.parquet import read_parquet
from doublemargin.experiment.sources.prepare import prepare


def refused(read, paths, message, shape=SHAPE):
    with pytest.raises(UserError) as error:
        read(paths, shape)
    assert re.search(message, str(error.value)), str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("column", ["image", "img"])
@pytest.mark.parametrize("form", ["PNG", "WEBP", "BMP"])
def test_parquet(tmp_path, column, form):
    same(read_parquet(parquets(tmp_path, column=column, form=form), SHAPE))


def test_parquet_with_gtsrbs_paths_tells_the_tracks(tmp_path):
    same(read_parquet(parquets(tmp_path, PATHS), SHAPE), groups=True)


def test_one_path_without_a_track_leaves_all_tracks_unknown(tmp_path):
    same(read_parquet(parquets(tmp_path, [*PATHS[:-1], "x.ppm"]), SHAPE))


def test_grey_parquet(tmp_path):
    x = images(3, 5, (1, 4, 6))
    paths = [parquet(tmp_path / f"{s}.parquet", x, [0, 1, 2]) for s in ("train", "test")]
    np.testing.assert_array_equal(read_parquet(paths, (1, 4, 6))["train_x"], x)


def test_bad_parquet(tmp_path):
    paths = parquets(tmp_path)
    refused(read_parquet, paths[2:], "the format parquet needs a file train")
    refused(
        read_parquet,
        paths,
        r"train-00000-of-00002\.parquet is damaged .*image 0 is \(6, 4\), .*says \(4, 6\)",
        (3, 6, 4),
    )
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[:-100])
    refused(read_parquet, paths, r"train-00001-of-00002\.parquet is damaged")
    paths[1].write_bytes(b"no parquet at all")
    refused(read_parquet, paths, r"train-00001-of-00002\.parquet is damaged")
    pq.write_table(pa.table({"picture": [b"x"], "label": [1]}), paths[1])
    refused(read_parquet, paths, "no column image or img")
    pq.write_table(pa.table({"image": [{"bytes": b"GIF89a", "path": "a"}], "label": [1]}), paths[1])
    refused(read_parquet, paths, r"00001-of-00002\.parquet is damaged .*cannot identify image")
    paths[1].write_bytes(whole)
    same(read_parquet(paths, SHAPE))


def test_npz(tmp_path):
    same(read_npz(npzs(tmp_path), SHAPE))
    x = images(3, 5, (4, 6))
    np.savez(tmp_path / "train.npz", x=x, y=[0, 1, 2])
    np.testing.assert_array_equal(
        read_npz([tmp_path / "train.npz", npzs(tmp_path / "b")[1]], SHAPE)["train_x"][:, 0], x
    )


def test_bad_npz(tmp_path):
    paths = npzs(tmp_path)
    refused(read_npz, paths[:1], r"the format npz needs a file test\.npz")
    np.savez(paths[0], x=TRAIN_X)
    refused(read_npz, paths, r"train\.npz is damaged .*y is not a file")
    np.savez(paths[0], x=np.array([{"a": 1}], object), y=TRAIN_Y)
    refused(read_npz, paths, r"train\.npz is damaged .*allow_pickle=False")
    paths[0].write_bytes(b"PK\x03\x04")
    refused(read_npz, paths, r"train\.npz is damaged")


def test_idx(tmp_path):
    x = images(3, 5, (4, 6))
    parts = {
        "train-images-idx3": x,
        "train-labels-idx1": [1, 2, 3],
        "t10k-images-idx3": x,
        "t10k-labels-idx1": [3, 2, 1],
    }
    paths = [idx(tmp_path / f"{name}-ubyte.gz", np.array(part)) for name, part in parts.items()]
    arrays = read_idx(paths, (1, 4, 6))
    np.testing.assert_array_equal(arrays["train_x"], x[:, None])
    assert (arrays["train_y"].tolist(), arrays["test_y"].tolist()) == ([1, 2, 3], [3, 2, 1])
    refused(read_idx, paths[:3], r"the format idx needs a file t10k-labels-idx1-ubyte\.gz")
    parquet(paths[3], TEST_X, TEST_Y)
    refused(read_idx, paths, r"t10k-labels-idx1-ubyte\.gz is damaged .*[Nn]ot a gzipped file")


def test_an_idx_file_that_lies_about_its_shape(tmp_path):
    test_idx(tmp_path)
    paths = sorted(tmp_path.glob("*.gz"))
    for content in (b"", b"\0\0\x08\x01\0\0", b"\0\0\x08\x01\0\0\0\x09ab", b"\0\0\x0d\x01\0\0\0\x01a"):
        paths[-1].write_bytes(gzip.compress(content))
        refused(read_idx, paths, r"train-labels-idx1-ubyte\.gz is damaged|t10k")


def test_cifar_binary(tmp_path):
    arrays = read_cifar_binary([cifar(tmp_path / "a.tar.gz")], SHAPE)
    np.testing.assert_array_equal(arrays["train_x"], TRAIN_X[:5])
    np.testing.assert_array_equal(arrays["train_y"], TRAIN_Y[:5])
    np.testing.assert_array_equal(arrays["test_x"], TEST_X)
    np.testing.assert_array_equal(arrays["test_y"], TEST_Y)
    assert [p.name for p in tmp_path.rglob("*")] == ["a.tar.gz"]  # nothing is extracted, inside or outside


def test_bad_cifar_binary(tmp_path, monkeypatch):
    path = cifar(tmp_path / "a.tar.gz")
    refused(read_cifar_binary, [path], "cannot reshape array", (3, 5, 5))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(read_cifar_binary, [path], r"a\.tar\.gz is damaged")
    cifar(path, {"cifar-10-batches-bin/data_batch_3.bin": b"cut"})
    refused(read_cifar_binary, [path], "cannot reshape array")
    monkeypatch.setattr("doublemargin.experiment.sources.cifar.BATCHES", {"train": ["b/1.bin"], "test": ["b/2.bin"]})
    refused(read_cifar_binary, [cifar(path)], r"it has no b/1\.bin")


def test_gtsrb(tmp_path):
    same(read_gtsrb(gtsrb(tmp_path), SHAPE), groups=True)
    assert len(list(tmp_path.rglob("*"))) == 3


def test_gtsrb_resizes_whole_images_bilinearly(tmp_path):
    large = [images(1, i, (3, 9 + i, 15 - i))[0] for i in range(len(TRAIN_X))]
    arrays = read_gtsrb(gtsrb(tmp_path, train=large), SHAPE)
    for image, resized in zip(large, arrays["train_x"], strict=True):
        expected = Image.fromarray(image.transpose(1, 2, 0)).resize((6, 4), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(resized, np.asarray(expected).transpose(2, 0, 1))


def test_bad_gtsrb(tmp_path):
    training, test, table = gtsrb(tmp_path)
    refused(read_gtsrb, [training, test], "needs three files")
    refused(read_gtsrb, [test, training, table], r"test\.zip is damaged .*it has no images of this set")
    refused(read_gtsrb, [training, test, test], r"test\.zip is damaged .*GT-final_test\.csv")
    table.write_bytes(gtsrb(tmp_path / "b", test=TEST_X[:3])[2].read_bytes())
    refused(read_gtsrb, [training, test, table], r"table\.zip is damaged .*00003\.ppm")
    training.write_bytes(training.read_bytes()[:300])
    refused(read_gtsrb, [training, test, table], r"training\.zip is damaged")


def test_npz_of_features(tmp_path):
    x = np.random.default_rng(0).random((5, 7))
    for split in ("train", "test"):
        np.savez(tmp_path / f"{split}.npz", x=x, y=np.arange(5))
    found = read_npz([tmp_path / "train.npz", tmp_path / "test.npz"], (1, 1, 7))
    np.testing.assert_array_equal(found["test_x"], x[:, None, None])


def tables(folder, text):
    for split in ("train", "test"):
        (folder / f"{split}.csv").write_text(text)
    return [folder / "train.csv", folder / "test.csv"]


def test_csv(tmp_path):
    found = read_csv(tables(tmp_path, 'a,"label",b\n0.5,2,1\n0,0,1e-3\n'), (1, 1, 2))
    np.testing.assert_array_equal(found["train_x"], [[[[0.5, 1]]], [[[0, 0.001]]]])
    np.testing.assert_array_equal(found["train_y"], [2, 0])
    assert found["train_y"].dtype == np.int64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", r"train\.csv is damaged .*no column 'label' in its first line"),
        ("a,label\n1,0.5\n", "the column 'label' has numbers that are not whole"),
        ("a,label\n1,x\n", "could not convert"),
        ("a,label\n1,0\n1\n", "number of columns changed"),
    ],
)
def test_bad_csv(tmp_path, text, message):
    refused(read_csv, tables(tmp_path, text), message)


def test_floats_are_kept_as_they_are_and_must_be_pixels(tmp_path):
    spec = {"shape": [1, 1, 2], "classes": 3, "train": 2, "test": 2}
    spec["sources"] = [{"format": "csv", "variant": "mine", "files": {"train.csv": {}, "test.csv": {}}}]

    def prepared(text):
        (tmp_path / "at/set").mkdir(parents=True, exist_ok=True)
        tables(tmp_path / "at/set", text)
        prepare("set", spec, tmp_path / "out", [str(tmp_path / "at")], tmp_path / "cache", tmp_path / "none")
        return load_images(tmp_path / "out")

    found = prepared("a,label,b\n0.3,2,1\n0,0,1e-3\n")
    assert found.test.x.dtype == torch.float32
    assert pixels(found.test.x).flatten().tolist() == pytest.approx([0.3, 1, 0, 0.001])
    assert found.info["variant"] == "mine, unpinned"
    with pytest.raises(UserError, match=r"train has values outside \[0, 1\], 0 to 2: scale them"):
        prepared("a,label,b\n2,2,1\n0,0,1\n")
