"""Mistakes in config.yaml. ``dmcore spec`` reads it as Snakemake's rules do, and gives the same line."""

from mistakes import Mistake, edit, write

TITLE = "The config"
SPEC = "dmcore spec demo"


def typo(id, old, new, says, what=None):
    """A piece of the file that reads ``new`` in place of ``old``."""
    return Mistake(id, what or f"`{new}` for `{old}`", SPEC, f"dmcore: error: {says}", make=edit((old, new)))


def file(id, what, content, says):
    """Another file in its place."""
    return Mistake(id, what, SPEC, f"dmcore: error: {says}", make=write("config.yaml", content))


LR = "schedules.demo.training.digits.lr"
TRAINING = "schedules.demo.training.digits"
PANEL = "reports.demo.tables.table2.panels[0]"
MANY = [f"m{i}" for i in range(1, 18)]
METHODS = "methods:\n" + "".join(f"  {name}: {{label: M, regularizers: []}}\n" for name in MANY)
FIGURES = f"""\
    figures:
      figure1:
        caption: All.
        panels:
          - dataset: digits
            arch: pureconv
            certifier: ibp
            points: 20
            eps_cert: [0]
            rows: [{{methods: [{", ".join(MANY)}]}}]
"""
MISTAKES = [
    typo("key", "methods:\n", "metods:\n", "config: unknown key 'metods': did you mean 'methods'? known: <all keys>",
         what="`metods:` for `methods:`"),
    typo("key-missing", "schedule: demo\n", "", "config: the key 'schedule' is missing", what="no `schedule:`"),
    typo("key-twice", "seeds: [0]\n", "seeds: [0]\nseeds: [1]\n",
         "cannot read config.yaml: line 4: the key 'seeds' is there twice, first in line 3: remove one of them",
         what="a second `seeds:`, of which YAML would take the last"),
    typo("method-twice", "  adv:\n", "  dm:\n",
         "cannot read config.yaml: line 25: the key 'dm' is there twice, first in line 21: remove one of them",
         what="a second method `dm:`"),
    typo("key-no-text", "  half: {", "  on: {",
         "cannot read config.yaml: line 34: the key 'on' is not text: quote it",
         what="a schedule named `on`, which YAML reads as true"),
    typo("option", "ramp: true, domain:", "ramp: true, domian:",
         "config: methods.dm.regularizers[0]: regularizer 'worst_case' has no option 'domian': did you mean 'domain'? "
         "known: <all options>", what="`domian:` for `domain:`"),
    typo("method", "methods: [dm, adv]", "methods: [dmm, adv]",
         f"config: {PANEL}.rows[1].methods: unknown method 'dmm': did you mean 'dm'? known: adv, dm, normal"),
    typo("regularizer", "kind: worst_case", "kind: worstcase",
         "config: methods.dm.regularizers[0]: unknown regularizer 'worstcase': did you mean 'worst_case'? "
         "known: <all regularizers>"),
    typo("certifier", "certifier: cnn-cert-relu", "certifier: cnn-cert", f"config: {PANEL}.certifier: unknown "
         "certifier 'cnn-cert': did you mean 'cnn-cert-ada'? known: <all certifiers>"),
    typo("schedule", "schedule: demo\n", "schedule: demoo\n",
         "config: schedule: unknown schedule 'demoo': did you mean 'demo'? known: demo, half",
         what="`schedule: demoo` for `schedule: demo`"),
    typo("architecture", "arch: pureconv", "arch: purecnn",
         f"config: {PANEL}.arch: unknown architecture 'purecnn': did you mean 'pureconv'? known: pureconv"),
    typo("eps-negative", "eps_train: 0.1", "eps_train: -0.1",
         f"config: {PANEL}.rows[1].eps_train: -0.1 is not a radius ≥ 0 such as 0.3 or 8/255"),
    typo("eps-text", "0.05, 8/255]", "0.05, 8%]",
         f"config: {PANEL}.eps_cert[2]: '8%' is not a radius ≥ 0 such as 0.3 or 8/255"),
    typo("eps-infinite", "0.05, 8/255]", "0.05, .inf]", f"config: {PANEL}.eps_cert[2]: inf is not a finite number"),
    typo("eps-twice", "0.05, 8/255]", "0.05, 1/20]", f"config: {PANEL}.eps_cert[2]: 1/20 is in the list already"),
    typo("eps-fraction-of-an-input", "points: 20\n", "points: 20\n            norm: l0\n",
         f"config: {PANEL}.eps_cert[1]: under the norm l0 eps counts changed inputs: a whole number, not 0.05",
         what="`norm: l0` with ε = 0.05"),
    typo("eps-missing", "{methods: [dm, adv], eps_train: 0.1}", "{methods: [dm, adv]}",
         f"config: {PANEL}.rows[1]: the method 'dm' needs an eps_train"),
    typo("eps-not-wanted", "{methods: [normal]}", "{methods: [normal], eps_train: 0.1}",
         f"config: {PANEL}.rows[0]: the method 'normal' has no ε to train at"),
    typo("number-as-text", "lr: 1.0e-3", "lr: 1e-3",
         f"config: {LR}: '1e-3' is text, not a number; YAML needs 1.0e-3 where you might write 1e-3"),
    typo("number-nan", "lr: 1.0e-3", "lr: .nan", f"config: {LR}: nan is not a finite number"),
    typo("whole-number-as-text", "batch: 50", "batch: fifty",
         f"config: {TRAINING}.batch: 'fifty' is text, not a whole number"),
    typo("number-missing", "batch: 50", "batch:", f"config: {TRAINING}.batch: nothing is given where a whole number "
         "should be"),
    typo("epochs-none", "epochs: 2", "epochs: 0", f"config: {TRAINING}.epochs: 0 is less than or equal to the "
         "minimum of 0"),
    typo("epochs-huge", "epochs: 2", "epochs: 1.0e+300",
         f"config: {TRAINING}.epochs: 1e+300 is greater than the maximum of 100000"),
    typo("batch-too-large", "batch: 50", "batch: 301",
         f"config: {TRAINING}.batch: 301 is more than the 300 points of the training set"),
    typo("warmup-too-long", "warmup: 2", "warmup: 5",
         f"config: {TRAINING}: warmup and ramp take 13 steps, but 2 epochs have only 12: ε would not be reached"),
    typo("normalisation", "std: [0.5]", "std: [0.5, 0.5, 0.5]",
         "config: datasets.digits.normalize.std: 3 values for 1 channels"),
    typo("points-too-many", "points: 20\n", "points: 61\n",
         f"config: {PANEL}.points: 61 is more than the test set has", what="`points: 61` of 60"),
    typo("seeds-no-list", "seeds: [0]", "seeds: 3", "config: seeds: 3 is not a list: write [3]"),
    typo("seeds-twice", "seeds: [0]", "seeds: [0, 0]", "config: seeds: [0, 0] has non-unique elements"),
    typo("seeds-huge", "seeds: [0]", "seeds: [4294967296]",
         "config: seeds[0]: 4294967296 is greater than the maximum of 4294967295"),
    typo("schedule-without-data-set", "      digits: {epochs", "      digit: {epochs",
         "config: schedules.demo.training: unknown data set 'digit': did you mean 'digits'? known: digits",
         what="`digit:` for `digits:` in a schedule"),
    typo("scaled-from-scaled", "scaled_from: demo", "scaled_from: half",
         "config: schedules.half.scaled_from: unknown unscaled schedule 'half': known: demo"),
    Mistake("figure-of-too-many", "a figure of 17 methods", SPEC, "dmcore: error: config: "
            "reports.demo.figures.figure1: figures show 17 methods, but only 16 can be told apart: take 'm17' or "
            "another out of all figures", make=edit(("methods:\n", METHODS), ("    figures: {}", FIGURES))),
    file("yaml", "a list that is not closed", "schedule: demo\nseeds: [0\nmethods: {}\n",
         "cannot read config.yaml: line 3: expected ',' or ']', but got ':'"),
    file("yaml-tab", "a tab", "schedule: demo\nseeds:\n\t- 0\n",
         r"cannot read config.yaml: line 3: found character '\t' that cannot start any token; "
         "indent with spaces, YAML takes no tabs"),
    file("yaml-template", "a template of Snakemake's, which may hold Python",
         "__use_yte__: true\nschedule: ?print(1)\n", "config.yaml: '__use_yte__' would run the file as a program: "
         "write out what it is to say"),
    file("yaml-object", "a Python object", "schedule: !!python/object/apply:os.getcwd []\n",
         "cannot read config.yaml: line 1: could not determine a constructor for the tag "
         "'tag:yaml.org,2002:python/object/apply:os.getcwd'"),
    file("empty", "an empty file", "", "config: nothing is given where keys with values should be"),
    file("list", "a list in place of keys", "- schedule\n- seeds\n",
         "config: a list is given where keys with values should be"),
    file("latin-1", "a file in Latin-1", "schedule: demo\n# für mich\n".encode("latin-1"),
         "cannot read config.yaml: line 2 is not in UTF-8; save the file in that encoding"),
    file("utf-16", "a file in UTF-16", "schedule: demo\n".encode("utf-16"),
         "cannot read config.yaml: line 1 is not in UTF-8; save the file in that encoding"),
    Mistake("missing", "no such file", f"{SPEC} --config conf.yaml",
            "dmcore: error: cannot read conf.yaml: there is no such file; go to the folder that has it, or name it"),
    Mistake("folder", "a folder", f"{SPEC} --config own", "dmcore: error: cannot read own: Is a directory"),
    Mistake("json", "a config as JSON that is none", "dmcore report --config '{\"schedule\": demo}'",
            "dmcore: error: the config is neither a file nor JSON (<reason>)"),
]  # fmt: skip
