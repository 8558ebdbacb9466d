"""Records made up for a whole report: every point's verdict of every cell is known."""

from pathlib import Path

import pandas as pd
from results_folder import REPORTED
from test_config import CONFIG

from doublemargin.experiment.exhibits import accuracy_tables, report_spec
from doublemargin.experiment.grid import Grid
from doublemargin.records.columns import COLUMNS, NUMBERS
from doublemargin.records.paper import read_reported
from doublemargin.records.statistics import wilson_interval
from doublemargin.records.tidy import Records

ORIGIN = {
    "variant": "official", "data_sha256": "d" * 16, "device": "GPU (test)", "threads": "1", "commit": "abc123",
    "torch": "2.0", "model_sha256": "m" * 16,
}  # fmt: skip


def spec_of(schedule="paper", config=CONFIG):
    return report_spec(Grid(config, schedule)) | {"reported": REPORTED}


def first(k, n):
    """The first k of n points certified: cells made so are nested."""
    return "1" * k + "0" * (n - k)


def made_records(spec, verdicts_of, seconds_of=lambda place, seed: 100.0, **origin):
    """``verdicts_of(place, seed)`` and ``seconds_of(place, seed)`` say what was found, or None; ``place`` is a dict."""
    lines = {name: {} for name in COLUMNS}
    for table in accuracy_tables(spec["tables"]).values():
        for panel in table["panels"]:
            for row in panel["rows"]:
                for seed, spec_hash in enumerate(row["models"]):
                    model = {
                        "schedule": spec["schedule"], "dataset": panel["dataset"], "arch": panel["arch"],
                        "method": row["method"], "eps_train": row["eps"], "seed": seed,
                    }  # fmt: skip
                    made = ORIGIN | origin | {"spec_hash": spec_hash}
                    seconds = seconds_of({"table": table["name"]} | model, seed)
                    if seconds is not None:
                        about = {
                            "seconds": seconds,
                            "test_accuracy": 0.9,
                            "parameters": 7,
                            "steps": 900,
                            "timing": "undisturbed",
                        }
                        lines["training"].setdefault(spec_hash, model | about | made)
                    for eps in panel["eps_cert"]:
                        cell = {key: panel[key] for key in ("certifier", "norm", "points", "points_seed")}
                        cell |= {key: str(panel[key]) for key in ("clip_input", "intersect_ibp")} | {"eps_cert": eps}
                        verdicts = verdicts_of({"table": table["name"]} | model | cell, seed)
                        if verdicts is None:
                            continue
                        k, n = verdicts.count("1"), len(verdicts)
                        low, high = wilson_interval(k, n)
                        accuracy = {
                            "certified": k, "accuracy": k / n, "wilson_low": low, "wilson_high": high, "std": 0.0,
                            "seconds": 1.0,
                        }  # fmt: skip
                        key = (spec_hash, *cell.values())
                        lines["certified_accuracy"].setdefault(key, model | cell | accuracy | made)
                        lines["verdicts"].setdefault(key, model | cell | made | {"verdicts": verdicts})
    return Records(**{name: _frame(name, list(found.values())) for name, found in lines.items()})


def the_papers_own():
    """The paper's numbers as if they were ours: what it reports is certified of the first points, where legible."""
    reported = read_reported(Path(REPORTED))
    cells = {
        (c.table, c.dataset, c.arch, c.method, c.eps_train, c.certifier, c.norm, c.points, c.eps_cert): c
        for c in reported.itertuples()
    }
    times = {key[:5]: c.seconds for key, c in cells.items() if c.seconds > 0}

    def verdicts_of(place, seed):
        keys = ("table", "dataset", "arch", "method", "eps_train", "certifier", "norm", "points", "eps_cert")
        cell = cells.get(tuple(place[key] for key in keys))
        if cell is None or pd.isna(cell.accuracy):
            return None
        certified = round(cell.accuracy * cell.points * cell.models)
        return first((certified + seed) // cell.models, cell.points)

    def seconds_of(place, seed):
        return times.get(tuple(place[key] for key in ("table", "dataset", "arch", "method", "eps_train")))

    return made_records(spec_of(), verdicts_of, seconds_of)


def _frame(name, lines):
    frame = pd.DataFrame(lines, columns=COLUMNS[name])
    return frame.astype({column: kind for column, kind in NUMBERS.items() if column in frame.columns})
