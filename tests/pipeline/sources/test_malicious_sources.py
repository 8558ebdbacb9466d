"""Source files made to run something, to write elsewhere or to fill the memory are refused in one line."""

import gzip
import io
import pickle
import random
import resource
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from flips import named
from PIL import Image
from small_sources import PATHS, SHAPE, TEST_X, TRAIN_X, TRAIN_Y, cifar, encode, gtsrb, npzs, parquets, same

from dmcore.errors import UserError
from doublemargin.experiment.sources import idx
from doublemargin.experiment.sources.cifar import read_cifar_binary
from doublemargin.experiment.sources.gtsrb import read_gtsrb
from doublemargin.experiment.sources.npz import read_npz
from doublemargin.experiment.sources.parquet import read_parquet
from doublemargin.experiment.sources.reading import LIMIT, unpack

READERS = {
    "parquet": (lambda folder: parquets(folder, PATHS), read_parquet),
    "npz": (npzs, read_npz),
    "cifar": (lambda folder: [cifar(folder / "a.tar.gz")], read_cifar_binary),
    "gtsrb": (gtsrb, read_gtsrb),
}


class Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (self.path.write_text, ("ran",))


@pytest.fixture
def ran(tmp_path):
    """Where harm would show: a file that code writes, and anything beside the folder of the sources."""
    folder = tmp_path / "sources"
    folder.mkdir()
    yield folder
    assert [path.name for path in tmp_path.iterdir()] == ["sources"]


@pytest.fixture
def little_memory():
    """At most two GiB more than now."""
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + 2 * 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def test_the_pickle_would_run(tmp_path):
    """So the tests below would notice."""
    pickle.loads(pickle.dumps(Evil(tmp_path / "x")))
    assert (tmp_path / "x").read_text() == "ran"


def test_a_pickle_in_an_npz_is_not_opened(ran):
    paths = npzs(ran)
    for name in ("x", "y"):
        arrays = {"x": TRAIN_X.transpose(0, 2, 3, 1), "y": TRAIN_Y} | {name: np.array([Evil(ran.parent / "ran")])}
        np.savez(paths[0], **arrays)
        with named(paths[0], "allow_pickle=False"):
            read_npz(paths, SHAPE)
    paths[0].write_bytes(pickle.dumps(Evil(ran.parent / "ran")))
    with named(paths[0], "no .npz archive"):
        read_npz(paths, SHAPE)


def npy(descr, shape, data=b""):
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (npy("__import__('os').system('touch ran')", "(1,)"), "malformed node"),
        (npy("'|u1'", f"({10**15},)"), "allocate"),
        (npy("'|O'", "(1,)", b"x"), "allow_pickle=False"),
    ],
)
def test_an_npz_whose_array_lies(ran, content, told, little_memory):
    paths = npzs(ran)
    with zipfile.ZipFile(paths[0], "w") as archive:
        archive.writestr("x.npy", content)
        archive.writestr("y.npy", npy("'|u1'", "(8,)", bytes(8)))
    with named(paths[0], told):
        read_npz(paths, SHAPE)


def test_an_npz_bomb_is_not_unpacked(ran, little_memory):
    """5 GiB of zeros, as the archive says; a mere megabyte is there."""
    paths = npzs(ran)
    with zipfile.ZipFile(paths[0], "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", npy("'|u1'", f"({2**20},)", bytes(2**20)))
        archive.writestr("y.npy", npy("'|u1'", "(8,)", bytes(8)))
        archive.getinfo("x.npy").file_size = 2**32 - 2**20
        archive.getinfo("y.npy").file_size = 2**30
    with named(paths[0], "more than 4294967296 bytes when unpacked"):
        read_npz(paths, SHAPE)


def test_a_gzip_bomb_is_not_unpacked(ran):
    path = ran / "train-images-idx3-ubyte.gz"
    zeros = gzip.compress(bytes(2**20), mtime=0)
    path.write_bytes(zeros * (LIMIT // 2**20 + 1))  # members of one stream
    assert path.stat().st_size < 2**19
    with named(path, f"more than {LIMIT} bytes when unpacked"):
        unpack(path)


def test_an_idx_file_that_claims_to_be_huge(ran):
    path = ran / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1) + b"x"))
    with named(path, "is damaged"):
        idx._read(path)


@pytest.mark.parametrize("name", ["../pwned.ppm", "/pwned.ppm", "../../Final_Training/Images/00000/00000_00009.ppm"])
def test_a_zip_writes_nowhere(ran, name):
    paths = gtsrb(ran)
    with zipfile.ZipFile(paths[0], "a") as archive:
        archive.writestr(zipfile.ZipInfo(name), encode(TEST_X[0], "PPM"))
    arrays = read_gtsrb(paths, SHAPE)
    assert len(arrays["train_x"]) == len(TRAIN_X) + name.endswith("00009.ppm")  # read, in memory
    assert sorted(path.name for path in ran.iterdir()) == ["table.zip", "test.zip", "training.zip"]


def test_a_link_in_a_zip_is_no_file(ran):
    paths = gtsrb(ran)
    with zipfile.ZipFile(paths[1], "a") as archive:
        link = zipfile.ZipInfo("GTSRB/Final_Test/Images/00099.ppm")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/hostname")
    with named(paths[1], "cannot identify image"):
        read_gtsrb(paths, SHAPE)


def test_a_zip_bomb_is_not_unpacked(ran):
    paths = gtsrb(ran)
    with zipfile.ZipFile(paths[0], "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"GTSRB/{PATHS[0]}", bytes(64 * 2**20))
    with named(paths[0], "bytes when unpacked"):
        read_gtsrb(paths, SHAPE)


@pytest.mark.parametrize(
    ("kind", "name", "link"),
    [
        (tarfile.SYMTYPE, "cifar-10-batches-bin/test_batch.bin", "/etc/hostname"),
        (tarfile.LNKTYPE, "cifar-10-batches-bin/test_batch.bin", "../../../etc/hostname"),
        (tarfile.REGTYPE, "/tmp/dmcore-pwned", ""),
    ],
)
def test_a_tar_writes_nowhere_and_its_links_lead_nowhere(ran, kind, name, link):
    path = cifar(ran / "a.tar.gz", {"cifar-10-batches-bin/test_batch.bin": b""} if kind != tarfile.REGTYPE else {})
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, link
        archive.addfile(member, io.BytesIO())
    with named(path, "it has no cifar-10-batches-bin/data_batch_1.bin"):
        read_cifar_binary([path], SHAPE)
    assert [found.name for found in ran.iterdir()] == ["a.tar.gz"]


def png(width, height):
    """A PNG that claims a size and holds next to nothing."""
    whole = encode(TRAIN_X[0])
    header = b"IHDR" + struct.pack(">II", width, height) + whole[24:29]
    return whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:]


@pytest.mark.parametrize("side", [3000, 2**31 - 1])
def test_an_image_bomb_is_not_decoded(ran, side, little_memory):
    paths = parquets(ran)
    pq.write_table(pa.table({"image": [{"bytes": png(side, side), "path": "a"}], "label": [0]}), paths[0])
    with named(paths[0], "pixels" if side < 10_000 else ""):
        read_parquet(paths, SHAPE)


def test_a_format_for_which_pillow_would_start_ghostscript_is_not_opened(ran):
    file = io.BytesIO()
    Image.new("RGB", SHAPE[:0:-1]).save(file, "EPS")
    paths = parquets(ran)
    pq.write_table(pa.table({"image": [{"bytes": file.getvalue(), "path": "a"}], "label": [0]}), paths[0])
    with named(paths[0], "cannot identify image file"):
        read_parquet(paths, SHAPE)


def varint(number):
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def test_a_parquet_file_that_claims_to_be_huge(ran, little_memory):
    paths = parquets(ran)
    whole = paths[1].read_bytes()
    length = struct.unpack("<I", whole[-8:-4])[0]
    head, footer = whole[: -8 - length], whole[-8 - length : -8]
    assert footer.count(b"\x00\x16\x06\x19") == 1  # behind the schema: three rows, and the list of row groups
    footer = footer.replace(b"\x00\x16\x06\x19", b"\x00\x16" + varint(2 * 2**62) + b"\x19")
    paths[1].write_bytes(head + footer + struct.pack("<I", len(footer)) + b"PAR1")
    with named(paths[1], "is damaged"):
        read_parquet(paths, SHAPE)


def test_a_python_type_in_a_parquet_file_is_not_unpickled(ran):
    """As pyarrow did before version 14.0.1."""
    paths = parquets(ran)
    told = {b"ARROW:extension:name": b"arrow.py_extension_type"}
    told[b"ARROW:extension:metadata"] = pickle.dumps(Evil(ran.parent / "ran"))
    table = pq.read_table(paths[0])
    fields = [field.with_metadata(told) for field in table.schema]
    pq.write_table(table.cast(pa.schema(fields)), paths[0])
    assert pq.read_schema(paths[0]).field("label").metadata[b"ARROW:extension:name"] == b"arrow.py_extension_type"
    read_parquet(paths, SHAPE)  # as what it is stored as


def error_of(read, paths):
    try:
        read(paths, SHAPE)
    except UserError as error:
        return str(error)


@pytest.mark.parametrize("kind", READERS)
def test_changed_bytes_give_one_line_or_arrays_to_be_compared_with_the_pin(ran, kind):
    """Whatever libraries make of rubbish."""
    make, read = READERS[kind]
    paths = make(ran)
    if kind != "cifar":
        same(read(paths, SHAPE), groups=kind != "npz")
    chance = random.Random(3)
    for _ in range(250):
        path = chance.choice(paths)
        whole = path.read_bytes()
        content = bytearray(whole)
        for _ in range(chance.choice([1, 1, 4])):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        error = error_of(read, paths)
        assert error is None or (str(ran) in error and "\n" not in error)
        path.write_bytes(whole)
