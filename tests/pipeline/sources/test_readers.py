"""Each format's reader gives back the pixels and labels that were written, and says in one line what is wrong.

Source files come from anywhere: none may write elsewhere, fill the memory or have its content run.
"""

import gzip
import io
import pickle
import random
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_sources as small
import torch
from flips import named
from PIL import Image

from dmcore.data import load_images, pixels
from dmcore.errors import UserError
from doublemargin.experiment.sources.cifar import read_cifar_binary
from doublemargin.experiment.sources.csv import read_csv
from doublemargin.experiment.sources.gtsrb import read_gtsrb
from doublemargin.experiment.sources.idx import read_idx
from doublemargin.experiment.sources.npz import read_npz
from doublemargin.experiment.sources.parquet import read_parquet
from doublemargin.experiment.sources.prepare import prepare
from doublemargin.experiment.sources.reading import LIMIT, unpack


def refused(read, paths, *told, shape=small.SHAPE):
    with named(*told):
        read(paths, shape)


@pytest.mark.parametrize("column", ["image", "img"])
@pytest.mark.parametrize("form", ["PNG", "WEBP", "BMP"])
def test_parquet(tmp_path, column, form):
    small.same(read_parquet(small.parquets(tmp_path, column=column, form=form), small.SHAPE))


def test_parquet_with_gtsrbs_paths_tells_the_tracks(tmp_path):
    small.same(read_parquet(small.parquets(tmp_path, small.PATHS), small.SHAPE), groups=True)
    without = small.parquets(tmp_path, [*small.PATHS[:-1], "x.ppm"])
    small.same(read_parquet(without, small.SHAPE))  # then they are unknown


def test_grey_parquet(tmp_path):
    x = small.images(3, 5, (1, 4, 6))
    paths = [small.parquet(tmp_path / f"{s}.parquet", x, [0, 1, 2]) for s in ("train", "test")]
    np.testing.assert_array_equal(read_parquet(paths, (1, 4, 6))["train_x"], x)


def png(width, height):
    """A PNG that claims a size and holds next to nothing."""
    whole = small.encode(small.TRAIN_X[0])
    header = b"IHDR" + struct.pack(">II", width, height) + whole[24:29]
    return whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]


def eps():
    """A format for which Pillow would start Ghostscript."""
    file = io.BytesIO()
    Image.new("RGB", small.SHAPE[:0:-1]).save(file, "EPS")
    return file.getvalue()


def test_bad_parquet(tmp_path):
    paths = small.parquets(tmp_path)
    refused(read_parquet, paths[2:], "the format parquet needs a file train")
    refused(read_parquet, paths, f"{paths[0]} is damaged", "image 0 is (6, 4)", "says (4, 6)", shape=(3, 6, 4))
    for encoded, told in (
        (b"GIF89a", "cannot identify image"),
        (eps(), "cannot identify"),
        (png(3000, 3000), "pixels"),
    ):
        pq.write_table(pa.table({"image": [{"bytes": encoded, "path": "a"}], "label": [1]}), paths[1])
        refused(read_parquet, paths, f"{paths[1]} is damaged", told)
    pq.write_table(pa.table({"picture": [b"x"], "label": [1]}), paths[1])
    refused(read_parquet, paths, "no column image or img")
    paths[1].write_bytes(b"no parquet at all")
    refused(read_parquet, paths, f"{paths[1]} is damaged")


def test_npz(tmp_path):
    small.same(read_npz(small.npzs(tmp_path), small.SHAPE))
    x = small.images(3, 5, (4, 6))
    np.savez(tmp_path / "train.npz", x=x, y=[0, 1, 2])
    paths = [tmp_path / "train.npz", small.npzs(tmp_path / "b")[1]]
    np.testing.assert_array_equal(read_npz(paths, small.SHAPE)["train_x"][:, 0], x)
    features = np.random.default_rng(0).random((5, 7))
    np.savez(tmp_path / "train.npz", x=features, y=np.arange(5))
    np.testing.assert_array_equal(read_npz(paths, (1, 1, 7))["train_x"], features[:, None, None])


def test_bad_npz(tmp_path):
    paths = small.npzs(tmp_path)
    refused(read_npz, paths[:1], "the format npz needs a file test.npz")
    np.savez(paths[0], x=small.TRAIN_X)
    refused(read_npz, paths, f"{paths[0]} is damaged", "y is not a file")
    for name in ("x", "y"):
        np.savez(paths[0], **{"x": small.TRAIN_X, "y": small.TRAIN_Y} | {name: np.array([{"a": 1}], object)})
        refused(read_npz, paths, f"{paths[0]} is damaged", "allow_pickle=False")
    paths[0].write_bytes(pickle.dumps(1))
    refused(read_npz, paths, f"{paths[0]} is damaged", "no .npz archive")
    with zipfile.ZipFile(paths[0], "w") as archive:
        archive.writestr("x.npy", b"")
        archive.getinfo("x.npy").file_size = 2**32 - 2  # a bomb, as the archive says
        archive.writestr("y.npy", b"abc")
    refused(read_npz, paths, "more than 4294967296 bytes when unpacked")


def test_idx(tmp_path):
    x = small.images(3, 5, (4, 6))
    parts = {
        "train-images-idx3": x,
        "train-labels-idx1": [1, 2, 3],
        "t10k-images-idx3": x,
        "t10k-labels-idx1": [3, 2, 1],
    }
    paths = [small.idx(tmp_path / f"{name}-ubyte.gz", np.array(part)) for name, part in parts.items()]
    arrays = read_idx(paths, (1, 4, 6))
    np.testing.assert_array_equal(arrays["train_x"], x[:, None])
    assert (arrays["train_y"].tolist(), arrays["test_y"].tolist()) == ([1, 2, 3], [3, 2, 1])
    refused(read_idx, paths[:3], "the format idx needs a file t10k-labels-idx1-ubyte.gz")
    paths[1].write_bytes(b"no gzip at all")
    refused(read_idx, paths, f"{paths[1]} is damaged")
    huge = struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1) + b"x"
    for lie in (b"", b"\0\0\x08\x01\0\0", b"\0\0\x08\x01\0\0\0\x09ab", b"\0\0\x0d\x01\0\0\0\x01a", huge):
        paths[1].write_bytes(gzip.compress(lie))
        refused(read_idx, paths, f"{paths[1]} is damaged")


def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    zeros = gzip.compress(bytes(2**20), mtime=0)
    path.write_bytes(zeros * (LIMIT // 2**20 + 1))  # members of one stream
    with named(path, f"more than {LIMIT} bytes when unpacked"):
        unpack(path)


def test_cifar_binary(tmp_path):
    arrays = read_cifar_binary([small.cifar(tmp_path / "a.tar.gz")], small.SHAPE)
    np.testing.assert_array_equal(arrays["train_x"], small.TRAIN_X[:5])
    np.testing.assert_array_equal(arrays["train_y"], small.TRAIN_Y[:5])
    np.testing.assert_array_equal(arrays["test_x"], small.TEST_X)
    np.testing.assert_array_equal(arrays["test_y"], small.TEST_Y)
    assert [p.name for p in tmp_path.rglob("*")] == ["a.tar.gz"]  # nothing is extracted, inside or outside


def test_bad_cifar_binary(tmp_path):
    path = small.cifar(tmp_path / "a.tar.gz")
    refused(read_cifar_binary, [path], "cannot reshape array", shape=(3, 5, 5))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(read_cifar_binary, [path], f"{path} is damaged")
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(member)
    refused(read_cifar_binary, [path], "it has no cifar-10-batches-bin/data_batch_1.bin")  # a link leads nowhere


def test_gtsrb(tmp_path):
    small.same(read_gtsrb(small.gtsrb(tmp_path), small.SHAPE), groups=True)
    assert len(list(tmp_path.rglob("*"))) == 3


def test_gtsrb_resizes_whole_images_bilinearly(tmp_path):
    large = [small.images(1, i, (3, 9 + i, 15 - i))[0] for i in range(len(small.TRAIN_X))]
    arrays = read_gtsrb(small.gtsrb(tmp_path, train=large), small.SHAPE)
    for image, resized in zip(large, arrays["train_x"], strict=True):
        expected = Image.fromarray(image.transpose(1, 2, 0)).resize((6, 4), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(resized, np.asarray(expected).transpose(2, 0, 1))


def test_bad_gtsrb(tmp_path):
    training, test, table = small.gtsrb(tmp_path)
    refused(read_gtsrb, [training, test], "needs three files")
    refused(read_gtsrb, [test, training, table], f"{test} is damaged", "it has no images of this set")
    refused(read_gtsrb, [training, test, test], f"{test} is damaged", "GT-final_test.csv")
    table.write_bytes(small.gtsrb(tmp_path / "b", test=small.TEST_X[:3])[2].read_bytes())
    refused(read_gtsrb, [training, test, table], f"{table} is damaged", "00003.ppm")
    with zipfile.ZipFile(training, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"GTSRB/{small.PATHS[0]}", bytes(64 * 2**20))
    refused(read_gtsrb, [training, test, table], f"{training} is damaged", "bytes when unpacked")


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
        ("a,b\n1,2\n", "no column 'label' in its first line"),
        ("a,label\n1,0.5\n", "the column 'label' has numbers that are not whole"),
        ("a,label\n1,x\n", "could not convert"),
        ("a,label\n1,0\n1\n", "number of columns changed"),
    ],
)
def test_bad_csv(tmp_path, text, message):
    paths = tables(tmp_path, text)
    refused(read_csv, paths, f"{paths[0]} is damaged", message)


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


@pytest.mark.parametrize(
    ("make", "read"),
    [
        (small.parquets, read_parquet),
        (small.npzs, read_npz),
        (lambda folder: [small.cifar(folder / "a.tar.gz")], read_cifar_binary),
        (small.gtsrb, read_gtsrb),
    ],
    ids=["parquet", "npz", "cifar", "gtsrb"],
)
def test_changed_bytes_give_one_line_or_arrays_to_be_compared_with_the_pin(make, read, tmp_path):
    """Whatever libraries make of rubbish."""
    paths, chance = make(tmp_path), random.Random(3)
    for _ in range(250):
        path = chance.choice(paths)
        whole = path.read_bytes()
        content = bytearray(whole)
        for _ in range(chance.choice([1, 1, 4])):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        said = str(tmp_path)
        try:
            read(paths, small.SHAPE)
        except UserError as error:
            said = str(error)
        assert str(tmp_path) in said
        assert "\n" not in said
        path.write_bytes(whole)
