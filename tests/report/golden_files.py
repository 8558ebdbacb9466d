"""The golden files: a tiny grid with known verdicts, through records, to all tables in all formats.

``python tests/report/golden_files.py`` writes them anew; look at what changed before committing it.
"""

import gzip
import re
import shutil
import tempfile
from pathlib import Path

from results_folder import DATA, PANEL, REPORTED, spec_hash, write_model

from doublemargin.records.columns import SUMS
from doublemargin.records.tidy import collect, read_records, write_records
from doublemargin.report import overview
from doublemargin.report.make_tables import make_tables
from doublemargin.report.render import latex
from doublemargin.report.render.templates import write_all

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
REENCODED = {"variant": "JPEG quality 75 re-encoded", "sha256": "e" * 64}

# data set, method, ε_train, seed, seconds; certifier: {ε: points certified}. 20 points on MNIST, 200 on CIFAR-10.
MODELS = [
    ("mnist", "normal", "none", 0, 100.0, {"cnn-cert-relu": {"0": 20, "0.1": 0}, "ibp": {"0": 20}}),
    ("mnist", "ibp", "0.1", 0, 310.0, {"cnn-cert-relu": {"0": 19, "0.1": 8}, "ibp": {"0": 19, "0.1": 16}}),
    ("mnist", "dm", "0.1", 0, 330.0, {"cnn-cert-relu": {"0": 19, "0.1": 15}, "ibp": {"0": 19, "0.1": 15}}),
    ("mnist", "dm", "0.1", 1, 350.0, {"cnn-cert-relu": {"0": 18}}),
    ("cifar10", "normal", "none", 0, 1000.0, {"cnn-cert-relu": {"0": 130, "8_255": 0}}),
    ("cifar10", "ibp", "8_255", 0, 2500.0, {"cnn-cert-relu": {"0": 80, "8_255": 0}}),
    ("cifar10", "dm", "8_255", 0, 2250.0, {"cnn-cert-relu": {"0": 90, "8_255": 39}}),
]  # fmt: skip


def rows(dataset, eps, seeds=(0,)):
    """Normal training, and a group that is trained at ε: Double Margin over some seeds, TRADES never run."""
    trained = [("trades", "TRADES", (0,)), ("ibp", "IBP *", (0,)), ("dm", "Double Margin ℓ∞", seeds)]
    return [
        {
            "method": method, "label": label, "eps": e, "group": group, "baseline": group == 0, "own": method == "dm",
            "models": [spec_hash(method, e, seed, f"{dataset}/small") for seed in of_seeds],
        }
        for group, e, lines in ((0, "none", [("normal", "Normal", (0,))]), (1, eps, trained))
        for method, label, of_seeds in lines
    ]  # fmt: skip


MNIST = PANEL | {
    "title": "Small CNN MNIST, 4 layer, ℓ∞, CNN-Cert-ReLU (20 points)", "points": 20, "eps_cert": ["0", "0.1"],
    "rows": rows("mnist", "0.1", seeds=(0, 1)),
}  # fmt: skip
CIFAR = MNIST | {
    "title": "Small CNN CIFAR-10, 4 layer (200 points)", "dataset": "cifar10", "points": 200, "compare": [],
    "std": True, "eps_cert": ["0", "8_255"], "rows": rows("cifar10", "8_255"),
}  # fmt: skip
BY_IBP = {
    "title": "Small CNN MNIST, 4 layer, ℓ∞, IBP (20 points)", "certifier": "ibp", "compare": [],
}  # fmt: skip
SHORTENED = {"from": "paper", "factor": 0.1}
EXHIBITS = {
    "table1": {
        "name": "table1", "kind": "cost", "schedule": "demo", "shortened": SHORTENED, "panels": [],
        "caption": "Cost, 1/2 of it & more.", "source": str(HERE / "sources/cost.md"),
        "models": [spec_hash(*model[1:4], f"{model[0]}/small") for model in MODELS],
    },
    "table2": {
        "name": "table2", "kind": "accuracies", "schedule": "demo", "shortened": SHORTENED, "source": None,
        "reported": REPORTED,
        "caption": "Accuracies <of> 100% & more; * is another λ, std in (·), for ε_train and ℓ1.",
        "panels": [MNIST, MNIST | BY_IBP, CIFAR | {"training_time": False}],
    },
}  # fmt: skip


def make(folder):
    """Writes ``records/``, compressed ones unpacked, and ``tables/`` from hand-written result files."""
    results = folder / "results"
    for dataset, method, eps, seed, seconds, counts in MODELS:
        mnist = dataset == "mnist"
        data, points, steps = (DATA, 20, 600) if mnist else (REENCODED, 200, 1000)
        write_model(results, f"{dataset}/small", method, eps, seed, seconds, counts, points, data, steps)
    write_records(collect(results, "demo"), folder / "records")
    records = read_records(folder / "records")
    for packed in (folder / "records").glob("*.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    (folder / "records" / SUMS).unlink()  # of the compressed files, whose bytes depend on zlib
    make_tables(EXHIBITS, records, folder)
    (folder / "tables/all-tables.tex").write_text(latex.document("demo", list(EXHIBITS)))
    report = {"schedule": "demo", "shortened": SHORTENED, "reported": REPORTED, "tables": EXHIBITS, "figures": {}}
    write_all(folder / "overview", overview.build_overview(report, records), overview.FORMATS)
    shutil.rmtree(results)
    for page in (folder / "comparisons").iterdir():  # tests of the comparison say what the others are
        if page.name not in ("table2.md", "table2.csv"):
            page.unlink()
    for page in folder.rglob("*.html"):  # all have the same style sheet, whose look no test can tell
        page.write_text(re.sub(r"<style>.*</style>", "<style>…</style>", page.read_text(), flags=re.DOTALL))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        make(Path(made))
        shutil.rmtree(GOLDEN, ignore_errors=True)
        shutil.copytree(made, GOLDEN)
    print(f"Written; see what changed: git diff {GOLDEN}")
