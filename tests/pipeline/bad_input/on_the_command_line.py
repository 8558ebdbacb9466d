"""Mistakes on dmcore's command line."""

from mistakes import Mistake, nothing, write

GOOD = {
    "spec": {},
    "data": {"--spec": '"$(dmcore spec digits)"', "--places": "own", "--out": "new.safetensors"},
    "train": {
        "--spec": '"$(dmcore spec demo/digits/pureconv/dm/0.1/seed0)"', "--data": "digits.safetensors",
        "--model": "new/model.safetensors", "--record": "new/training.json", "--device": "cpu",
    },
    "certify": {
        "--model": "model.safetensors", "--data": "digits.safetensors", "--certifier": "ibp", "--eps": "0.05",
        "--points": "3", "--out": "new.json", "--device": "cpu",
    },
    "attack": {
        "--model": "model.safetensors", "--data": "digits.safetensors", "--eps": "0.05", "--points": "3",
        "--out": "new.json", "--device": "cpu",
    },
    "radius": {
        "--model": "model.safetensors", "--data": "digits.safetensors", "--certifier": "ibp", "--points": "3",
        "--out": "new.json", "--device": "cpu",
    },
    "picture": {
        "--model": "model.safetensors", "--data": "digits.safetensors", "--points": "2", "--out": "new.png",
        "--device": "cpu",
    },
    "vnnlib": {
        "--model": "model.safetensors", "--data": "digits.safetensors", "--eps": "0.05", "--points": "3",
        "--out": "new",
    },
    "onnx": {"--model": "model.safetensors", "--out": "new.onnx"},
    "regularizers": {
        "--model": "model.safetensors", "--data": "digits.safetensors", "--target": "dm", "--methods": "adv",
        "--eps": "0.1", "--points": "10", "--device": "cpu",
    },
    "next": {"--minutes": "8"},
    "bracket": {},
    "history": {"--record": "training.json"},
}  # fmt: skip
"""What each command needs; a mistake changes some of it."""


def command(name, *words, **changes):
    """A command that is good but for the changes; None leaves an option out."""
    options = GOOD[name] | {f"--{key.replace('_', '-')}": value for key, value in changes.items()}
    return " ".join(["dmcore", name, *words, *(f"{k} {v}" for k, v in options.items() if v is not None)])


def wrong(id, name, says, *words, make=nothing, without=None, **changes):
    """A mistake that dmcore itself answers."""
    return Mistake(id, command(name, *words, **changes), f"dmcore: error: {says}", make=make, without=without)


def usage(id, name, says, **changes):
    """A mistake that the parser of a command's arguments answers."""
    return Mistake(id, command(name, **changes), f"dmcore {name}: error: {says}; see `dmcore {name} --help`")


def taken(id, name, path, kind, *words, **changes):
    """A file where an output is to be, which the command did not write."""
    says = f"cannot write {path}: it is {kind} that this command did not write; name another file; nothing was started"
    return wrong(id, name, says, *words, **changes)


MISTAKES = [
    Mistake(
        "command",
        "dmcore trian",
        "dmcore: error: unknown command 'trian': did you mean 'train'? known: <all commands>; see `dmcore --help`",
    ),
    usage(
        "argument-unknown",
        "certify",
        "unknown argument '--thread-count': did you mean '--threads'? known: <all arguments>",
        thread_count="4",
    ),
    usage(
        "certifier",
        "certify",
        "argument --certifier: unknown certifier 'ipb': did you mean 'ibp'? known: <all>",
        certifier="ipb",
    ),
    usage("norm", "certify", "argument --norm: unknown norm 'l3': <suggestion>known: l0, l1, l2, linf", norm="l3"),
    usage("points-text", "certify", "argument --points: 'all' is not a whole number > 0", points="all"),
    wrong("argument-points-too-many", "certify", "61 test points asked for, but the test set has 60", points="61"),
    usage("spec-no-json", "train", "argument --spec: not JSON (<reason>); `dmcore spec` prints one", spec="dm"),
    wrong(
        "spec-of-data",
        "train",
        "no specification of a model, it has no 'training': `dmcore spec demo/mnist/small/dm/0.3/seed0` prints one",
        spec='"$(dmcore spec digits)"',
    ),
    wrong(
        "spec-of-another-version",
        "train",
        "no specification of a model as this version writes it (got an unexpected keyword argument 'device'): <how "
        "to print one>",
        spec="""'{"device": "x", "method": {"name": "dm", "regularizers": []}, "training": {"batch": 1, "steps": 1,
"warmup": 0, "ramp": 0, "lr": 1, "lr_drops": []}}'""",
    ),
    wrong(
        "out-is-a-file",
        "certify",
        "cannot write model.safetensors/new.json: model.safetensors is a file, not a folder; nothing was started",
        out="model.safetensors/new.json",
    ),
    wrong(
        "out-is-a-folder",
        "radius",
        "cannot write own: it is a folder; name a file in it; nothing was started",
        out="own",
    ),
    taken("train-over-data", "train", "digits.safetensors", "a safetensors file", model="digits.safetensors"),
    taken(
        "data-over-its-source",
        "data",
        "own/digits/train.npz",
        "a NumPy archive (NPZ)",
        "digits",
        out="own/digits/train.npz",
    ),
    taken(
        "certify-over-a-state",
        "certify",
        "unfinished-new.safetensors",
        "a text file",
        make=write("unfinished-new.safetensors", "mine\n"),
    ),
    taken("attack-over-certificates", "attack", "certified.json", "a JSON file", out="certified.json"),
    taken("radius-over-the-model", "radius", "model.safetensors", "a safetensors file", out="model.safetensors"),
    taken("picture-over-the-data", "picture", "digits.safetensors", "a safetensors file", out="digits.safetensors"),
    taken("onnx-over-a-network", "onnx", "net.onnx", "an ONNX file", out="net.onnx"),
    taken(
        "vnnlib-over-a-network", "vnnlib", "new/onnx/net.onnx", "a text file", make=write("new/onnx/net.onnx", "mine\n")
    ),
    taken("regularizers-over-the-config", "regularizers", "config.yaml", "a text file", out="config.yaml"),
    taken(
        "bracket-over-notes", "bracket", "notes.txt", "a text file", "certified.json", "attacked.json", out="notes.txt"
    ),
    taken("history-over-a-network", "history", "net.pt", "a PyTorch file", out="net.pt"),
    Mistake(
        "merge-nothing",
        "dmcore merge own --out new",
        "dmcore: error: own has no records: there is no training.csv in it",
    ),
]
