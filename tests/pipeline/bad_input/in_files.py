"""Mistakes with files: source files of data sets, prepared data, models, results."""

import gzip
import hashlib
import json
import struct

import numpy as np
from mistakes import FOREIGN as OTHERS
from mistakes import Mistake, all_of, cut, edit, nothing, write
from on_the_command_line import command

from dmcore import tensorfile
from dmcore.checkpoint import KIND
from dmcore.checkpoint import NEEDED as MODEL_NEEDED
from dmcore.data.prepared import KIND as IMAGES
from dmcore.data.prepared import NEEDED as IMAGES_NEEDED
from dmcore.files import write_json

TITLE = "Files: data, models, results"
HTML = "<!DOCTYPE html><html><body>503 Service Unavailable</body></html>"
MNIST = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def wrong(id, what, name, says, *words, make, code=2, **changes):
    run, shown = command(name, *words, **changes)
    return Mistake(id, what, run, f"dmcore: error: {says}", make=make, shown=shown)


def source(id, what, says, make, files=("train.npz", "test.npz")):
    """A fault of the files that a data set is prepared from: all places are told, and what to put where."""
    end = f"Put {', '.join(files)} (mine) into data/sources/digits"
    says = (
        f"data set 'digits': no source works; tried: data/sources/digits has no {files[0]}; {says}; "
        f"resources/digits has no {files[0]}. {end}"
    )
    return wrong(id, what, "data", says, "digits", make=make)


def arrays(**changes):
    """The arrays of own/digits/train.npz with some of them replaced; a function gets the old one."""

    def make(folder):
        path = folder / "own/digits/train.npz"
        with np.load(path) as file:
            old = dict(file)
        np.savez(path, **(old | {name: change(old[name]) for name, change in changes.items()}))

    return make


def idx(**files):
    """A data set in MNIST's format whose four files are whole but for those given."""

    def make(folder):
        edit(
            ("format: npz", "format: idx"),
            ("{train.npz: {}, test.npz: {}}", f"{{{', '.join(f'{n}: {{}}' for n in MNIST)}}}"),
        )(folder)
        for name in MNIST:
            count = 300 if name.startswith("train") else 60
            shape = (count, 28, 28) if "images" in name else (count,)
            header = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
            write(f"own/digits/{name}", gzip.compress(header + bytes(int(np.prod(shape))), 1))(folder)
        for name, change in files.items():
            path = folder / "own/digits" / next(n for n in MNIST if n.startswith(name.replace("_", "-")))
            path.write_bytes(change(path.read_bytes()))

    return make


def copy(name, to):
    def make(folder):
        write(to, (folder / name).read_bytes())(folder)

    return make


def written(name, content, keep=None):
    """A record of the pipeline's with some of its content; whole or cut off."""

    def make(folder):
        write_json(folder / name, {"model": "demo/digits/pureconv/dm/0.1/seed0", "spec_hash": "0" * 16} | content)
        write(name, (folder / name).read_bytes()[:keep])(folder)

    return make


def remove(name):
    def make(folder):
        (folder / name).unlink()

    return make


def model(**changes):
    """The model, with some of its specification changed, as another version might have written it."""

    def make(folder):
        path = folder / "model.safetensors"
        tensors, meta = tensorfile.load(path, KIND)
        tensorfile.save(path, KIND, tensors, {"spec": json.dumps(json.loads(meta["spec"]) | changes)})

    return make


def records(name, content, written=None):
    """A file of the tidy records with its sum, and what stands in its place."""

    def make(folder):
        write(f"results/demo/{name}", "")(folder)
        (folder / "results/demo" / name).write_bytes(written or content)
        (folder / "results/demo/SHA256SUMS").write_text(f"{hashlib.sha256(content).hexdigest()}  {name}\n")

    return make


def tiny_images(folder):
    """Data of 6×6 pixels, and a config that says so."""
    path = folder / "digits.safetensors"
    tensors, meta = tensorfile.load(path, IMAGES)
    tensors |= {name: t[:, :, :6, :6].contiguous() for name, t in tensors.items() if name.endswith("_x")}
    tensorfile.save(path, IMAGES, tensors, {"info": meta["info"]})
    edit(("shape: [1, 28, 28]", "shape: [1, 6, 6]"))(folder)


RECORD = "results/demo/digits/pureconv/dm/0.1/seed0/training.json"
DAMAGED = "is damaged or of another format (<reason>): put a fresh copy there"
COLLECT = "dmcore collect --results results --schedule demo --out results/demo"
CUT = "is truncated or damaged (<reason>); restore a copy of it, or write it again with the command that wrote it"
WEIGHTS = "results/demo/digits/pureconv/dm/0.1/seed0/model.safetensors"
AGAIN = "make it again (this trains the model again): snakemake --cores 1 "
MISTAKES = [
    source("source-html", "the page of an error in place of an archive", f"own/digits/train.npz {DAMAGED}",
           write("own/digits/train.npz", HTML)),
    source("source-empty", "an empty file", f"own/digits/train.npz {DAMAGED}",
           write("own/digits/train.npz", "")),
    source("source-cut", "a download that stopped half way", f"own/digits/train.npz {DAMAGED}",
           cut("own/digits/train.npz", 10000)),
    source("source-missing", "a file that is not there", "own/digits has no test.npz", remove("own/digits/test.npz")),
    source("source-shape", "images of another size", "own/digits: images are (1, 28, 14), the config says shape (1, "
           "28, 28)", arrays(x=lambda x: x[:, :, :14])),
    source("source-rank", "an array that is no images", "own/digits: images are (784,), the config says shape (1, "
           "28, 28)", arrays(x=lambda x: x.reshape(len(x), -1))),
    source("source-floats", "pixels that are not whole numbers",
           "own/digits: train has images of float32 and labels of uint8: uint8 and integers are needed",
           arrays(x=lambda x: x.astype(np.float32) / 255)),
    source("source-labels", "labels out of range", "own/digits: label 10, but the config says 10 classes",
           arrays(y=lambda y: y + 1)),
    source("source-count", "fewer images than labels", "own/digits: train has 299 images and labels (300,), the "
           "config says 300", arrays(x=lambda x: x[1:])),
    source("source-nothing", "arrays without a line", "own/digits: train has 0 images and labels (0,), the config "
           "says 300", arrays(x=lambda x: x[:0], y=lambda y: y[:0])),
    source("source-objects", "arrays that would have to be unpickled", f"own/digits/train.npz {DAMAGED}",
           arrays(x=lambda x: x.astype(object))),
    source("source-not-pinned", "other content than the config pins",
           "own/digits: the content is not the pinned one (sha256 <found>…): put a fresh copy there", nothing),
    source("idx-cut", "a gzip-compressed file that is cut off", f"own/digits/train-images-idx3-ubyte.gz {DAMAGED}",
           idx(train_images=lambda content: content[:-20]), MNIST),
    source("idx-text", "text in place of labels", f"own/digits/t10k-labels-idx1-ubyte.gz {DAMAGED}",
           idx(t10k_labels=lambda _: gzip.compress(b"5 0 4 1 9")), MNIST),
    source("idx-flipped", "a damaged byte in a compressed file", f"own/digits/train-labels-idx1-ubyte.gz {DAMAGED}",
           idx(train_labels=lambda content: content[:15] + bytes([content[15] ^ 255]) + content[16:]), MNIST),
    wrong("places-nowhere", "a folder that is not there", "data",
          "data set 'digits': no source works; tried: <places>; nowhere/digits has no train.npz; <places>", "digits",
          make=nothing, places="nowhere"),
    wrong("data-missing", "prepared data that are not there", "train", "data.safetensors does not exist", make=nothing,
          data="data.safetensors"),
    wrong("data-folder", "a folder for a file of data", "certify", f"own is a folder, not {IMAGES_NEEDED}",
          make=nothing, data="own"),
    wrong("data-archive", "a data set's source for its prepared form", "certify",
          f"own/digits/test.npz is a NumPy archive (NPZ), not {IMAGES_NEEDED}", make=nothing,
          data="own/digits/test.npz"),
    wrong("data-archive-in-place", "the same, under the name of the prepared form", "certify",
          f"data/digits.safetensors is a NumPy archive (NPZ), not {IMAGES_NEEDED}; move it away and make it again, "
          "with an age at which nothing is trained again: snakemake --cores 1 data/digits.safetensors && touch -t "
          "200001010000 data/digits.safetensors", make=copy("own/digits/test.npz", "data/digits.safetensors"),
          data="data/digits.safetensors"),
    wrong("data-empty", "prepared data of no bytes", "certify", f"digits.safetensors is an empty file, not "
          f"{IMAGES_NEEDED}", make=write("digits.safetensors", "")),
    wrong("data-cut", "prepared data that are cut off", "train", f"digits.safetensors {CUT}",
          make=cut("digits.safetensors", 100000)),
    wrong("data-is-a-model", "a model for data", "certify", "model.safetensors is a dmcore.model file, not "
          f"{IMAGES_NEEDED}", make=nothing, data="model.safetensors"),
    wrong("data-of-another-set", "another data set than the model's", "certify",
          "fashion.safetensors is the data set 'fashion', but the model is of 'digits'", make=nothing,
          data="fashion.safetensors"),
    wrong("data-of-another-spec", "another data set than the specification's", "train",
          "fashion.safetensors is the data set 'fashion', but the model is of 'digits'", make=nothing,
          data="fashion.safetensors"),
    wrong("data-of-another-shape", "data prepared before the config's shape was changed", "train",
          "prepared images are (1, 28, 28), the spec says [3, 28, 28]: prepare the data again",
          make=edit(("shape: [1, 28, 28]", "shape: [3, 28, 28]"), ("normalize: {mean: [0.5], std: [0.5]}", ""))),
    wrong("images-too-small", "images that are too small for the network", "train",
          "the architecture 'pureconv' takes no images of 1x6x6: input of 16x2x2 is too small for a 3x3 convolution",
          make=tiny_images),
    wrong("model-missing", "a model that is not there", "certify", "nowhere.safetensors does not exist", make=nothing,
          model="nowhere.safetensors"),
    wrong("model-folder", "a folder for a model", "certify", f"own is a folder, not {MODEL_NEEDED}", make=nothing,
          model="own"),
    wrong("model-pickle", "a model that torch.save wrote, which is never unpickled", "certify",
          f"net.pt is a PyTorch file, not {MODEL_NEEDED}", make=nothing, model="net.pt"),
    wrong("model-onnx", "an ONNX file for a model", "attack", f"net.onnx is an ONNX file, not {MODEL_NEEDED}",
          make=nothing, model="net.onnx"),
    wrong("model-onnx-in-place", "the same, under the name of a model of the pipeline", "certify",
          f"{WEIGHTS} is an ONNX file, not {MODEL_NEEDED}; move it away and {AGAIN}{WEIGHTS}",
          make=copy("net.onnx", WEIGHTS), model=WEIGHTS),
    wrong("model-empty", "a model of no bytes", "radius", f"model.safetensors is an empty file, not {MODEL_NEEDED}",
          make=write("model.safetensors", "")),
    wrong("model-cut", "a model that is cut off", "attack", f"model.safetensors {CUT}",
          make=cut("model.safetensors", 200000)),
    wrong("model-cut-in-place", "the same, of the pipeline", "attack", f"{WEIGHTS} is truncated or damaged (<reason>); "
          f"restore a copy of it, or {AGAIN}--force {WEIGHTS}",
          make=all_of(copy("model.safetensors", WEIGHTS), cut(WEIGHTS, 200000)), model=WEIGHTS),
    wrong("model-is-data", "data for a model", "certify", f"digits.safetensors is a dmcore.images file, not "
          f"{MODEL_NEEDED}", make=nothing, model="digits.safetensors"),
    wrong("model-of-another-architecture", "a model whose weights are of another architecture", "certify",
          "model.safetensors does not fit the architecture 'small' (<reason>): train it again",
          make=model(arch="small")),
    wrong("model-of-another-version", "a model of another version", "onnx",
          "model.safetensors is a model of another version of dmcore (<reason>): train it again",
          make=model(warm_start=True)),
    Mistake("info-no-model", "data, asked what model they are", "dmcore info digits.safetensors",
            f"dmcore: error: digits.safetensors is a dmcore.images file, not {MODEL_NEEDED}"),
    Mistake("record-cut", "a training record that is cut off", COLLECT,
            f"dmcore: error: {RECORD} is no intact record: it has no seal: it is damaged, edited or of an older "
            f"version; restore a copy of it, or {AGAIN}--force {RECORD}", make=written(RECORD, {}, keep=-20)),
    Mistake("record-foreign", "a file of another's in its place", COLLECT,
            f"dmcore: error: {RECORD} is a JSON file, not a record that dmcore wrote; move it away and {AGAIN}{RECORD}",
            make=write(RECORD, '{"model": "mine"}')),
    Mistake("record-of-another-version", "a training record of another version", COLLECT,
            f"dmcore: error: {RECORD} has no 'seconds', it is of another version; restore a copy of it, or {AGAIN}"
            f"--force {RECORD}", make=written(RECORD, {})),
    Mistake("record-moved", "a training record in another model's folder", "dmcore report demo",
            f"dmcore: error: {RECORD} is not a record of demo/digits/pureconv/dm/0.1/seed0; move it away and {AGAIN}"
            f"{RECORD}",
            make=written(RECORD, {"model": "demo/digits/pureconv/dm/0.2/seed0"})),
    Mistake("records-of-another-version", "tidy records with a column too few", "dmcore report demo",
            "dmcore: error: results/demo/training.csv has other columns than this version writes; gather the result "
            "files again: mkdir results/demo/aside1 && mv results/demo/training.csv results/demo/aside1 && snakemake "
            "--cores 1 tables", make=records("training.csv", b"schedule,dataset\ndemo,digits\n")),
    Mistake("records-damaged", "tidy records that are cut off", "dmcore report demo",
            "dmcore: error: results/demo/training.csv is damaged or edited: SHA256SUMS beside it names no such "
            "content; gather the result files again: <commands>; where these are not, go back to what is in git: git "
            "stash push -- results/demo; or, after an edit that is meant: <command>",
            make=records("training.csv", b"schedule,dataset\ndemo,digits\n", written=b"schedule,dataset\ndemo,dig")),
    Mistake("records-without-sums", "tidy records without `SHA256SUMS` beside them", "dmcore report demo",
            "dmcore: error: results/demo/SHA256SUMS is missing, with which the records beside it are checked; <remedy>",
            make=write("results/demo/training.csv", "schedule,dataset\ndemo,digits\n")),
    Mistake("collect-schedule", "the results of a schedule that there is not",
            "dmcore collect --results results --schedule papr --out new",
            "dmcore: error: results has no results of a schedule 'papr'"),
    Mistake("report-schedule", "the report of a schedule that there is not", "dmcore report papr",
            "dmcore: error: no schedule 'papr': known: demo, half"),
    Mistake("history-of-a-cell", "the history of a certification",
            "dmcore history --record certified/0.05.json --out new.png",
            "dmcore: error: certified/0.05.json is no record of a training: name the training.json of a model"),
    Mistake("tables-of-a-model", "tables of a model's specification",
            'dmcore tables --spec "$(dmcore spec demo/digits/pureconv/dm/0.1/seed0)" --records results/demo --out new',
            "dmcore: error: --spec: 'schedule' is no table or figure; `dmcore spec SCHEDULE` prints a schedule's"),
    Mistake("overview-of-a-data-set", "the overview of a data set",
            'dmcore overview --spec "$(dmcore spec digits)" --records results/demo --out new',
            "dmcore: error: --spec: no report of a schedule, it has no 'schedule'; `dmcore spec SCHEDULE` prints one"),
]  # fmt: skip

FOREIGN = [
    wrong(f"{name}-{option}-{file}", "", name, f"{file} is {kind}, not {needed}", make=nothing, **{option: file})
    for option, needed, names in (
        ("model", MODEL_NEEDED, ("certify", "attack", "radius", "onnx", "vnnlib", "regularizers")),
        ("data", IMAGES_NEEDED, ("train", "certify", "attack", "radius", "vnnlib", "regularizers")),
    )
    for name in names
    for file, kind in OTHERS.items()
] + [
    Mistake(f"{command.split()[1]}-{file}", "", f"{command} {file} --out new",
            f"dmcore: error: {file} is {kind}, not a record that dmcore wrote")
    for command in ("dmcore bracket", "dmcore history --record")
    for file, kind in OTHERS.items() if kind != "a folder"
]  # fmt: skip
"""Files of another's wherever a command reads one; not in the table, as all get the same line."""
