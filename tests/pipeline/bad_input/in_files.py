"""Mistakes with files: source files of data sets, prepared data, models, results."""

import hashlib
import json

from mistakes import Mistake, all_of, cut, edit, write
from on_the_command_line import wrong

from dmcore import tensorfile
from dmcore.checkpoint import KIND
from dmcore.checkpoint import NEEDED as MODEL_NEEDED
from dmcore.data.prepared import KIND as IMAGES
from dmcore.data.prepared import NEEDED as IMAGES_NEEDED
from doublemargin.files import write_json


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
COLLECT = "dmcore collect --results results --schedule demo --out results/demo"
CUT = "is truncated or damaged (<reason>); restore a copy of it, or write it again with the command that wrote it"
WEIGHTS = "results/demo/digits/pureconv/dm/0.1/seed0/model.safetensors"
AGAIN = "make it again (this trains the model again): snakemake --cores 1 "
MISTAKES = [
    wrong(
        "source-html",
        "data",
        "data set 'digits': no source works; tried: data/sources/digits has no train.npz; own/digits/train.npz is "
        "damaged or of another format (<reason>): put a fresh copy there; resources/digits has no train.npz. Put "
        "train.npz, test.npz (mine) into data/sources/digits",
        "digits",
        make=write("own/digits/train.npz", "<!DOCTYPE html><html><body>503 Service Unavailable</body></html>"),
    ),
    wrong(
        "data-archive-in-place",
        "certify",
        f"data/digits.safetensors is a NumPy archive (NPZ), not {IMAGES_NEEDED}; move it away and make it again, "
        "with an age at which nothing is trained again: snakemake --cores 1 data/digits.safetensors && touch -t "
        "200001010000 data/digits.safetensors",
        make=copy("own/digits/test.npz", "data/digits.safetensors"),
        data="data/digits.safetensors",
    ),
    wrong("data-cut", "train", f"digits.safetensors {CUT}", make=cut("digits.safetensors", 100000)),
    wrong(
        "data-of-another-set",
        "certify",
        "fashion.safetensors is the data set 'fashion', but the model is of 'digits'",
        data="fashion.safetensors",
    ),
    wrong(
        "images-too-small",
        "train",
        "the architecture 'pureconv' takes no images of 1x6x6: input of 16x2x2 is too small for a 3x3 convolution",
        make=tiny_images,
    ),
    wrong(
        "model-cut-in-place",
        "attack",
        f"{WEIGHTS} is truncated or damaged (<reason>); restore a copy of it, or {AGAIN}--force {WEIGHTS}",
        make=all_of(copy("model.safetensors", WEIGHTS), cut(WEIGHTS, 200000)),
        model=WEIGHTS,
    ),
    wrong(
        "model-of-another-version",
        "onnx",
        "model.safetensors is a model of another version of dmcore (<reason>): train it again",
        make=model(warm_start=True),
    ),
    Mistake(
        "record-cut",
        COLLECT,
        f"dmcore: error: {RECORD} is no intact record: it has no seal: it is damaged, edited or of an older "
        f"version; restore a copy of it, or {AGAIN}--force {RECORD}",
        make=written(RECORD, {}, keep=-20),
    ),
    Mistake(
        "record-foreign",
        COLLECT,
        f"dmcore: error: {RECORD} is a JSON file, not a record that dmcore wrote; move it away and {AGAIN}{RECORD}",
        make=write(RECORD, '{"model": "mine"}'),
    ),
    Mistake(
        "records-damaged",
        "dmcore report demo",
        "dmcore: error: results/demo/training.csv is damaged or edited: SHA256SUMS beside it names no such "
        "content; gather the result files again: <commands>; where these are not, go back to what is in git: git "
        "stash push -- results/demo; or, after an edit that is meant: <command>",
        make=records("training.csv", b"schedule,dataset\ndemo,digits\n", written=b"schedule,dataset\ndemo,dig"),
    ),
    Mistake(
        "tables-of-a-model",
        'dmcore tables --spec "$(dmcore spec demo/digits/pureconv/dm/0.1/seed0)" --records results/demo --out new',
        "dmcore: error: --spec: 'schedule' is no table or figure; `dmcore spec SCHEDULE` prints a schedule's",
    ),
]

FOREIGN = [
    wrong(f"{name}-{option}", name, f"{file} is {kind}, not {needed}", **{option: file})
    for option, file, kind, needed, names in (
        ("model", "net.onnx", "an ONNX file", MODEL_NEEDED, "onnx vnnlib regularizers"),
        ("model", "weights.safetensors", "a safetensors file", MODEL_NEEDED, "certify attack radius"),
        ("data", "own", "a folder", IMAGES_NEEDED, "train certify attack radius vnnlib regularizers"),
    )
    for name in names.split()
] + [
    Mistake(
        f"{run}-foreign",
        f"dmcore {run} notes.txt --out new",
        "dmcore: error: notes.txt is a text file, not a record that dmcore wrote",
    )
    for run in ("bracket", "history --record")
]
"""Files of another's wherever a command reads one."""
