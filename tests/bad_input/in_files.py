"""Mistakes with files: source files of data sets, prepared data, models, results."""

import gzip
import hashlib
import json
import struct

import numpy as np
from mistakes import Mistake, cut, edit, nothing, write
from on_the_command_line import command

from dmcore import tensorfile
from dmcore.checkpoint import KIND
from dmcore.data.prepared import KIND as IMAGES

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
REBUILD = "<why, and how to make it again>"
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
    wrong("data-folder", "a folder for a file of data", "certify", "own is a folder, not a dmcore.images file",
          make=nothing, data="own"),
    wrong("data-empty", "prepared data of no bytes", "certify", f"digits.safetensors {REBUILD}",
          make=write("digits.safetensors", "")),
    wrong("data-cut", "prepared data that are cut off", "train", f"digits.safetensors {REBUILD}",
          make=cut("digits.safetensors", 100000)),
    wrong("data-is-a-model", "a model for data", "certify", "model.safetensors is not a dmcore.images file, but "
          "dmcore.model", make=nothing, data="model.safetensors"),
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
    wrong("model-folder", "a folder for a model", "certify", "own is a folder, not a dmcore.model file", make=nothing,
          model="own"),
    wrong("model-pickle", "a model that torch.save wrote, which is never unpickled", "certify", f"model.pt {REBUILD}",
          make=nothing, model="model.pt"),
    wrong("model-empty", "a model of no bytes", "radius", f"model.safetensors {REBUILD}",
          make=write("model.safetensors", "")),
    wrong("model-cut", "a model that is cut off", "attack", f"model.safetensors {REBUILD}",
          make=cut("model.safetensors", 200000)),
    wrong("model-is-data", "data for a model", "certify", "digits.safetensors is not a dmcore.model file, but "
          "dmcore.images", make=nothing, model="digits.safetensors"),
    wrong("model-of-another-architecture", "a model whose weights are of another architecture", "certify",
          "model.safetensors does not fit the architecture 'small' (<reason>): train it again",
          make=model(arch="small")),
    wrong("model-of-another-version", "a model of another version", "onnx",
          "model.safetensors is a model of another version of dmcore (<reason>): train it again",
          make=model(warm_start=True)),
    Mistake("info-no-model", "data, asked what model they are", "dmcore info digits.safetensors",
            "dmcore: error: digits.safetensors is not a dmcore.model file, but dmcore.images"),
    Mistake("record-cut", "a training record that is cut off", COLLECT,
            "dmcore: error: <the record, what is wrong with it, and how to make it again>",
            make=write(RECORD, '{"model": "demo/dig')),
    Mistake("record-of-another-version", "a training record of another version", COLLECT,
            f"dmcore: error: {RECORD} <what is wrong with it, and how to make it again>",
            make=write(RECORD, json.dumps({"model": "demo/digits/pureconv/dm/0.1/seed0", "seconds": 1.0}))),
    Mistake("record-moved", "a training record in another model's folder", "dmcore report demo",
            f"dmcore: error: {RECORD} <what is wrong with it, and how to make it again>",
            make=write(RECORD, '{"model": "demo/digits/pureconv/dm/0.2/seed0"}')),
    Mistake("records-of-another-version", "tidy records with a column too few", "dmcore report demo",
            "dmcore: error: results/demo/training.csv has other columns than this version writes; <how to make it "
            "again>", make=records("training.csv", b"schedule,dataset\ndemo,digits\n")),
    Mistake("records-damaged", "tidy records that are cut off", "dmcore report demo",
            "dmcore: error: results/demo/training.csv is damaged or edited: SHA256SUMS beside it names no such "
            "content; <how to make it again>",
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
