"""A results folder with known verdicts, written by hand."""

from pathlib import Path

from doublemargin.files import read_json, write_json
from doublemargin.records.cells import write_cells

PROVENANCE = {"device": "CPU (test)", "threads": 1, "torch": "2.0", "commit": "abc123"}
DATA = {"variant": "official", "sha256": "d" * 64}
SEEDS = (0, 1)
REPORTED = str(Path(__file__).parents[2] / "resources/paper/reported.csv")


def same(first, second):
    """Whether two sets of records are."""
    return all(getattr(first, name).equals(getattr(second, name)) for name in first.__dataclass_fields__)


def spec_hash(method, eps_train, seed, place="mnist/small"):
    return f"{place}-{method}-{eps_train}-{seed}"


def write_results(folder, counts, points=200):
    """``counts[method, eps_train][certifier][eps]`` = certified points, for seed 0; seed 1 certifies two fewer."""
    for (method, eps_train), cells in counts.items():
        for seed in SEEDS:
            fewer = {
                certifier: {eps: max(count - 2 * seed, 0) for eps, count in by_eps.items()}
                for certifier, by_eps in cells.items()
            }
            write_model(folder, "mnist/small", method, eps_train, seed, 100.0 + 10 * seed, fewer, points)


def write_attack(folder, model, counts, points=200, **changes):
    """What an attack leaves of a model: ``counts[eps]`` points, the first ones."""
    trained = read_json(folder / model / "training.json")
    record = {key: trained[key] for key in ("model", "spec_hash", "model_sha256", "data")} | {
        "attack": "pgd", "norm": "linf", "clip_input": True, "points": points, "points_seed": 0,
        "indices": list(range(points)),
    }  # fmt: skip
    cells = {
        eps: {"seconds": 2.5, "provenance": PROVENANCE, "broken": [i >= count for i in range(points)]}
        for eps, count in counts.items()
    }
    write_cells(folder / model / f"attack/pgd/linf/n{points}.json", record | changes, cells)


def write_model(folder, place, method, eps_train, seed, seconds, counts, points, data=DATA, steps=900):
    """One model's training and its cells: ``counts[certifier][eps]`` points are certified, the first ones."""
    model = f"demo/{place}/{method}/{eps_train}/seed{seed}"
    common = {
        "model": model, "spec_hash": spec_hash(method, eps_train, seed, place), "model_sha256": "m" * 64,
        "data": data,
    }  # fmt: skip
    trained = {
        "seconds": seconds, "cpu_seconds": 0.99 * seconds, "test_accuracy": 0.9, "parameters": 7,
        "spec": {"training": {"steps": steps}}, "provenance": PROVENANCE,
    }  # fmt: skip
    write_json(folder / model / "training.json", common | trained)
    for certifier, by_eps in counts.items():
        record = common | {
            "certifier": certifier, "norm": "linf", "clip_input": False, "intersect_ibp": False, "points": points,
            "points_seed": 0, "indices": list(range(points)),
        }  # fmt: skip
        cells = {
            eps: {"seconds": 1.5, "provenance": PROVENANCE, "certified": [i < count for i in range(points)]}
            for eps, count in by_eps.items()
        }
        write_cells(folder / model / f"certify/{certifier}/linf/n{points}.json", record, cells)


COUNTS = {
    ("normal", "none"): {"cnn-cert-relu": {"0": 198, "0.05": 20, "0.3": 0}},
    ("ibp", "0.3"): {"cnn-cert-relu": {"0": 190, "0.05": 180, "0.3": 0}},
    ("dm", "0.3"): {"cnn-cert-relu": {"0": 178, "0.05": 180, "0.3": 133}},
}
PANEL = {
    "title": "Small CNN MNIST, 4 layer, CNN-Cert-ReLU (200 points)", "dataset": "mnist", "arch": "small",
    "certifier": "cnn-cert-relu", "attack": None, "norm": "linf", "points": 200, "points_seed": 0, "clip_input": False,
    "intersect_ibp": False, "std": False, "training_time": True, "compare": [["dm", "ibp"]],
    "eps_cert": ["0", "0.05", "0.3", "0.4"],
    "rows": [
        {"method": method, "label": label, "baseline": method == "normal", "eps": eps, "look": look}
        | {"own": method.startswith("dm"), "group": int(eps != "none")}
        | {"models": [spec_hash(method, eps, seed) for seed in SEEDS]}
        for method, label, eps, look in (
            ("normal", "Normal", "none", 0),
            ("ibp", "IBP *", "0.3", 2),
            ("dm", "Double Margin", "0.3", 0),
            ("dm_l1", "DM + L1", "0.3", 1),
        )
    ],
}  # fmt: skip
EXHIBIT = {
    "name": "table2", "kind": "accuracies", "schedule": "demo", "shortened": None, "source": None, "reported": None,
    "caption": "A caption with 5% & more.", "panels": [PANEL],
}  # fmt: skip
