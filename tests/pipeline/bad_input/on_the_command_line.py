"""Mistakes on dmcore's command line."""

from mistakes import Mistake, write

TITLE = "The command line"

GOOD = {
    "spec": {},
    "data": {"--spec": '"$(dmcore spec digits)"', "--places": "own", "--out": "new.safetensors"},
    "train": {
        "--spec": '"$(dmcore spec demo/digits/pureconv/dm/0.1/seed0)"', "--data": "digits.safetensors",
        "--model": "new/model.safetensors", "--record": "new/training.json", "--device": "cpu",
    },
    "certify": {
        "--model": "model.safetensors", "--data": "digits.safetensors", "--certifier": "ibp", "--eps": "0.05",
        "--points": "3", "--out": "new", "--device": "cpu",
    },
    "attack": {
        "--model": "model.safetensors", "--data": "digits.safetensors", "--eps": "0.05", "--points": "3",
        "--out": "new", "--device": "cpu",
    },
    "radius": {
        "--model": "model.safetensors", "--data": "digits.safetensors", "--certifier": "ibp", "--points": "3",
        "--out": "new.json", "--device": "cpu",
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
    """A command that is good but for the changes (None leaves an option out), and as the table shows it."""
    changes = {f"--{key.replace('_', '-')}": value for key, value in changes.items()}
    options = {k: v for k, v in (GOOD[name] | changes).items() if v is not None}
    run = " ".join(["dmcore", name, *words, *(f"{k} {v}".strip() for k, v in options.items())])
    told = [*words, *(f"{k} {v}".strip() for k, v in changes.items() if v is not None)]
    return run, " ".join(["dmcore", name, *told, "…"])


def wrong(id, what, name, says, *words, make=None, without=None, **changes):
    """A mistake that dmcore itself answers."""
    run, shown = command(name, *words, **changes)
    more = {"make": make} if make else {}
    return Mistake(id, what, run, f"dmcore: error: {says}", shown=shown, without=without, **more)


def usage(id, what, name, says, *words, make=None, **changes):
    """A mistake that the parser of a command's arguments answers."""
    run, shown = command(name, *words, **changes)
    says = f"dmcore {name}: error: {says}; see `dmcore {name} --help`"
    return Mistake(id, what, run, says, shown=shown, **({"make": make} if make else {}))


def taken(id, what, name, path, kind, *words, **changes):
    """A file where an output is to be, which the command did not write."""
    says = f"cannot write {path}: it is {kind} that this command did not write; name another file; nothing was started"
    return wrong(id, what, name, says, *words, **changes)


NONE = {"eps": "is not a radius ≥ 0 such as 0.3 or 8/255"}
MISTAKES = [
    Mistake("command", "a command that there is not", "dmcore trian",
            "dmcore: error: unknown command 'trian': did you mean 'train'? known: <all commands>; see `dmcore --help`"),
    Mistake("no-command", "no command", "dmcore",
            "dmcore: error: the following arguments are required: command; see `dmcore --help`"),
    usage("argument-missing", "an argument left out", "certify", "the following arguments are required: --model",
          model=None),
    usage("argument-unknown", "an argument that there is not", "certify",
          "unknown argument '--thread-count': did you mean '--threads'? known: <all arguments>", thread_count="4"),
    usage("argument-empty", "an argument without its value", "certify", "argument --points: expected one argument",
          points=""),
    usage("points-negative", "points below 1", "certify", "argument --points: '-5' is not a whole number > 0",
          points="-5"),
    usage("points-none", "no points", "certify", "argument --points: '0' is not a whole number > 0", points="0"),
    usage("points-text", "points that are no number", "certify", "argument --points: 'all' is not a whole number > 0",
          points="all"),
    wrong("argument-points-too-many", "more points than the test set has", "certify",
          "61 test points asked for, but the test set has 60", points="61"),
    wrong("points-too-many-to-export", "the same, before anything is exported", "vnnlib",
          "61 test points asked for, but the test set has 60", points="61"),
    usage("seed-negative", "a negative seed", "certify",
          "argument --points-seed: '-1' is not a seed, a whole number from 0 to 4294967295", points_seed="-1"),
    usage("threads-none", "no threads", "certify", "argument --threads: '0' is not a number of threads from 1 to 1024",
          threads="0"),
    usage("threads-negative", "negative threads", "train",
          "argument --threads: '-1' is not a number of threads from 1 to 1024", threads="-1"),
    usage("eps-division-by-zero", "ε over zero", "certify", f"argument --eps: eps '8/0' {NONE['eps']}", eps="8/0"),
    usage("eps-nan", "ε that is no number", "certify", f"argument --eps: eps 'nan' {NONE['eps']}", eps="nan"),
    usage("eps-overflow", "ε beyond all numbers", "certify", f"argument --eps: eps '1e400' {NONE['eps']}", eps="1e400"),
    usage("argument-eps-negative", "a negative ε", "attack", f"argument --eps: eps '-0.1' {NONE['eps']}", eps="-0.1"),
    usage("eps-list", "ε with commas between them", "certify", f"argument --eps: eps '0,0.1' {NONE['eps']}",
          eps="0,0.1"),
    wrong("l0-fraction", "a fraction of an input under ℓ0", "certify",
          "under the norm l0 eps counts changed inputs: a whole number, not 0.5", norm="l0", eps="0.5"),
    usage("argument-certifier", "a certifier that there is not", "certify",
          "argument --certifier: unknown certifier 'ipb': did you mean 'ibp'? known: <all certifiers>",
          certifier="ipb"),
    usage("norm", "a norm that there is not", "certify",
          "argument --norm: unknown norm 'l3': did you mean 'l2'? known: l0, l1, l2, linf", norm="l3"),
    usage("device", "a device that there is not", "certify",
          "argument --device: unknown value 'tpu': did you mean 'cpu'? known: auto, cpu, cuda", device="tpu"),
    wrong("attack", "an attack that there is not", "attack",
          "unknown attack 'pdg': did you mean 'pgd'? known: auto, pgd", attack="pdg"),
    wrong("attack-norm", "an attack that has no such norm", "attack",
          "the attack 'auto' has no norm 'l0': did you mean 'l2'? known: l1, l2, linf", attack="auto", norm="l0",
          eps="1"),
    usage("tolerance", "a tolerance of 0", "radius", "argument --tolerance: '0' is not a number > 0", tolerance="0"),
    usage("save-every", "a negative time", "train", "argument --save-every: '-60' is not a number of seconds ≥ 0",
          save_every="-60"),
    usage("spec-no-json", "a specification that is no JSON", "train",
          "argument --spec: not JSON (<reason>); `dmcore spec` prints one", spec="dm"),
    usage("spec-no-object", "a specification that is a list", "train", "argument --spec: not a JSON object", spec="[]"),
    wrong("spec-of-data", "the specification of a data set for a model's", "train",
          "no specification of a model, it has no 'training': `dmcore spec demo/mnist/small/dm/0.3/seed0` prints one",
          spec='"$(dmcore spec digits)"'),
    wrong("spec-of-another-version", "a specification with a key of another version", "train",
          "no specification of a model as this version writes it (got an unexpected keyword argument 'device'): <how "
          "to print one>",
          spec="""'{"device": "x", "method": {"name": "dm", "regularizers": []}, "training": {"batch": 1, "steps": 1,
"warmup": 0, "ramp": 0, "lr": 1, "lr_drops": []}}'"""),
    wrong("spec-of-a-model", "the specification of a model for a data set's", "data",
          "data set 'digits': its specification has no 'shape': `dmcore spec digits` prints one", "digits",
          spec='"$(dmcore spec demo/digits/pureconv/dm/0.1/seed0)"'),
    wrong("spec-unknown", "a model's path with a word misspelt", "spec", "'demo/digits/pureconv/dmm/0.1/seed0': "
          "'dmm' is not in the config's methods: did you mean 'dm'? known: adv, dm, normal",
          "demo/digits/pureconv/dmm/0.1/seed0"),
    wrong("spec-eps", "ε spelt otherwise than in paths", "spec", "ε_train '0.10' is written '0.1' in paths",
          "demo/digits/pureconv/dm/0.10/seed0"),
    wrong("spec-eps-fraction", "a fraction with its slash", "spec",
          "'demo/digits/pureconv/dm/8/255/seed0' is not of the form schedule/dataset/arch/method/eps_train/seed0",
          "demo/digits/pureconv/dm/8/255/seed0"),
    wrong("spec-eps-missing", "no ε for a method that needs one", "spec", "the method 'dm' needs an ε_train",
          "demo/digits/pureconv/dm/none/seed0"),
    wrong("out-is-a-file", "a file where a folder should be", "certify",
          "cannot write model.safetensors/0.05.json: model.safetensors is a file, not a folder; nothing was started",
          out="model.safetensors"),
    wrong("out-is-a-folder", "a folder where a file should be", "radius",
          "cannot write own: it is a folder; name a file in it; nothing was started", out="own"),
    taken("train-over-a-network", "a network of one's own where a model is to be written", "train",
          "net.onnx", "an ONNX file", model="net.onnx"),
    taken("train-over-notes", "notes where a record is to be written", "train", "notes.txt", "a text file",
          record="notes.txt"),
    taken("train-over-data", "the model written over its data", "train", "digits.safetensors", "a safetensors file",
          model="digits.safetensors"),
    taken("data-over-its-source", "prepared data written over their source", "data", "own/digits/train.npz",
          "a NumPy archive (NPZ)", "digits", out="own/digits/train.npz"),
    taken("certify-over-a-file", "a folder with a file of one's own under a result's name", "certify", "new/0.05.json",
          "a JSON file", make=write("new/0.05.json", "[1, 2]\n")),
    taken("certify-over-a-state", "the same, under the name of a saved state", "certify", "own/unfinished.safetensors",
          "a text file", out="own", make=write("own/unfinished.safetensors", "mine\n")),
    taken("attack-over-certificates", "attacks written over certificates", "attack", "certified/0.05.json",
          "a JSON file", out="certified"),
    taken("radius-over-the-model", "radii written over the model", "radius", "model.safetensors", "a safetensors file",
          out="model.safetensors"),
    taken("onnx-over-a-network", "another's ONNX file where one is to be written", "onnx", "net.onnx", "an ONNX file",
          out="net.onnx"),
    taken("vnnlib-over-a-list", "another's benchmark where one is to be written", "vnnlib", "new/instances.csv",
          "a text file", make=write("new/instances.csv", "a.onnx,b.vnnlib,60\n")),
    taken("vnnlib-over-a-network", "the same, with a network", "vnnlib", "new/onnx/net.onnx", "a text file",
          make=write("new/onnx/net.onnx", "mine\n")),
    taken("regularizers-over-the-config", "a ranking written over the config", "regularizers", "config.yaml",
          "a text file", out="config.yaml"),
    taken("bracket-over-notes", "a bracket written over notes", "bracket", "notes.txt", "a text file", "certified",
          "attacked", out="notes.txt"),
    taken("history-over-a-network", "a picture written over a network", "history", "net.pt", "a PyTorch file",
          out="net.pt"),
    wrong("method-nothing", "a method that adds nothing", "regularizers",
          "the method 'normal' adds nothing to the base loss<, and what follows>", methods="normal"),
    usage("minutes-negative", "a time limit in the past", "next", "argument --minutes: '-8' is not a number > 0",
          minutes="-8"),
    wrong("minutes-few", "a time limit of seconds", "next",
          "--minutes 0.5 is too short to start anything; give 1 or more", minutes="0.5"),
    wrong("minutes-none", "no time limit", "next",
          "give --minutes, to run what is missing, or --list, to see it", minutes=None),
    Mistake("merge-nothing", "records merged from a folder without any", "dmcore merge own --out new",
            "dmcore: error: own has no records: there is no training.csv in it"),
    wrong("next-elsewhere", "slots of time outside the project", "next",
          "there is no Snakefile here: run `dmcore next` in the project's folder"),
    Mistake("bracket-one-side", "certifications without attacks", "dmcore bracket certified",
            "dmcore: error: no attacks among the 1 files given: see `dmcore certify` and `dmcore attack`"),
    Mistake("bracket-empty", "an empty folder", "dmcore bracket own",
            "dmcore: error: no certifications among the 0 files given: see `dmcore certify` and `dmcore attack`"),
    Mistake("bracket-foreign", "a file that is neither", "dmcore bracket list.json attacked",
            "dmcore: error: list.json is a JSON file, not a record that dmcore wrote"),
]  # fmt: skip
