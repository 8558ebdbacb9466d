"""Little source files in every format, with what they hold."""

import gzip
import io
import struct
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

SHAPE = (3, 4, 6)  # height and width differ, so that a mix-up shows
TRACKS = [(0, 0), (0, 0), (0, 0), (0, 1), (0, 1), (2, 0), (2, 0), (2, 5)]  # class and track of each training image


def images(count, seed, shape=SHAPE):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


TRAIN_X, TEST_X = images(len(TRACKS), 1), images(5, 2)
TRAIN_Y, TEST_Y = np.array([c for c, _ in TRACKS]), np.array([2, 0, 1, 1, 2])
PATHS = [f"Final_Training/Images/{c:05}/{t:05}_{i:05}.ppm" for i, (c, t) in enumerate(TRACKS)]


def encode(image, form="PNG"):
    """One image (C, H, W), losslessly."""
    file = io.BytesIO()
    pixels = image.transpose(1, 2, 0)
    options = {"lossless": True} if form == "WEBP" else {}
    Image.fromarray(pixels[:, :, 0] if len(image) == 1 else pixels).save(file, form, **options)
    return file.getvalue()


def parquet(path, x, y, paths=None, column="image", form="PNG"):
    names = paths or [f"{i}.png" for i in range(len(x))]
    rows = [{"bytes": encode(image, form), "path": name} for image, name in zip(x, names, strict=True)]
    pq.write_table(pa.table({column: rows, "label": pa.array(y, pa.int64())}), path)
    return path


def parquets(folder, paths=None, **options):
    """The training set in two shards and the test set in one."""
    folder.mkdir(parents=True, exist_ok=True)
    names = paths or [f"{i}.png" for i in range(len(TRAIN_X))]
    return [
        parquet(folder / "train-00000-of-00002.parquet", TRAIN_X[:5], TRAIN_Y[:5], names[:5], **options),
        parquet(folder / "train-00001-of-00002.parquet", TRAIN_X[5:], TRAIN_Y[5:], names[5:], **options),
        parquet(folder / "test-00000-of-00001.parquet", TEST_X, TEST_Y, **options),
    ]


def npzs(folder):
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "train.npz", x=TRAIN_X.transpose(0, 2, 3, 1), y=TRAIN_Y)
    np.savez(folder / "test.npz", x=TEST_X.transpose(0, 2, 3, 1), y=TEST_Y)
    return [folder / "train.npz", folder / "test.npz"]


def idx(path, array):
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))
    return path


def cifar(path):
    """The archive of CIFAR-10's binary form: record i of a batch is its label, then red, green and blue rows."""
    batches = {f"data_batch_{i + 1}": (TRAIN_X[i : i + 1], TRAIN_Y[i : i + 1]) for i in range(5)}
    batches["test_batch"] = (TEST_X, TEST_Y)
    files = {}
    for name, (x, y) in batches.items():
        content = b"".join(bytes([label]) + image.tobytes() for image, label in zip(x, y, strict=True))
        files[f"cifar-10-batches-bin/{name}.bin"] = content
    files |= {"cifar-10-batches-bin/readme.html": b"<html>", "../../outside": b"x"}
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def gtsrb(folder, train=TRAIN_X, test=TEST_X):
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in ("training.zip", "test.zip", "table.zip")]
    with zipfile.ZipFile(paths[0], "w") as archive:
        archive.writestr("GTSRB/Final_Training/Images/00000/GT-00000.csv", "Filename;Width\n")
        archive.writestr("../outside.ppm", b"x")
        for i in reversed(range(len(train))):  # archives keep no order
            archive.writestr(f"GTSRB/{PATHS[i]}", encode(train[i], "PPM"))
    with zipfile.ZipFile(paths[1], "w") as archive:
        for i, image in enumerate(test):
            archive.writestr(f"GTSRB/Final_Test/Images/{i:05}.ppm", encode(image, "PPM"))
    rows = [f"{i:05}.ppm;53;54;6;5;48;49;{TEST_Y[i]}" for i in reversed(range(len(test)))]
    table = "\r\n".join(["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId", *rows])
    with zipfile.ZipFile(paths[2], "w") as archive:
        archive.writestr("GT-final_test.csv", table)
    return paths


def same(arrays, groups=False):
    """Whether a reader returned exactly the little set."""
    assert sorted(arrays) == sorted(["train_x", "train_y", "test_x", "test_y"] + ["train_group"] * groups)
    np.testing.assert_array_equal(arrays["train_x"], TRAIN_X)
    np.testing.assert_array_equal(arrays["train_y"], TRAIN_Y)
    np.testing.assert_array_equal(arrays["test_x"], TEST_X)
    np.testing.assert_array_equal(arrays["test_y"], TEST_Y)
    assert arrays["train_x"].dtype == arrays["test_x"].dtype == np.uint8
    if groups:
        assert arrays["train_group"].tolist() == [c * 100000 + t for c, t in TRACKS]
