"""Records as if the trainings had given what the paper reports: to see its tables full, and for nothing else."""

import pandas as pd

from dmcore.report.columns import COLUMNS, NUMBERS
from dmcore.report.records import Records

ORIGIN = {
    "variant": "official", "data_sha256": "d", "device": "what the paper reports", "threads": "1", "commit": "none",
    "torch": "none", "model_sha256": "m",
}  # fmt: skip
PLACE = ["dataset", "arch", "method", "eps_train", "certifier", "norm", "points"]


def papers_records(spec, reported):
    """Fills the cells of a resolved report with a paper's."""
    training, certified = {}, {}
    by_row = dict(list(reported.groupby(["table", *PLACE])))
    for name, table in spec["tables"].items():
        for panel in table["panels"]:
            for row in panel["rows"]:
                model = {"schedule": spec["schedule"], "dataset": panel["dataset"], "arch": panel["arch"]}
                model |= {"method": row["method"], "eps_train": row["eps"]}
                place = (name, *list(model.values())[1:], *(panel[key] for key in ("certifier", "norm", "points")))
                for seed, spec_hash in enumerate(row["models"]):
                    key = model | {"seed": seed, "spec_hash": spec_hash} | ORIGIN
                    for cell in by_row[place].to_dict("records"):
                        if cell["seconds"] == cell["seconds"]:
                            training[spec_hash] = key | {"seconds": cell["seconds"], "steps": 60000, "parameters": 1}
                        if cell["accuracy"] == cell["accuracy"]:
                            of_panel = {k: panel[k] for k in ("certifier", "norm", "points", "points_seed")}
                            of_panel |= {"clip_input": str(panel["clip_input"]), "eps_cert": cell["eps_cert"]}
                            found = of_panel | {"accuracy": cell["accuracy"]}
                            certified.setdefault((spec_hash, *of_panel.values()), key | found)
    frames = {"training": training.values(), "certified_accuracy": certified.values()}
    return Records(**{name: _frame(name, frames.get(name, ())) for name in COLUMNS})


def _frame(name, lines):
    frame = pd.DataFrame(list(lines), columns=COLUMNS[name])
    return frame.astype({c: object if NUMBERS.get(c) is int else float for c in frame.columns if c in NUMBERS})
