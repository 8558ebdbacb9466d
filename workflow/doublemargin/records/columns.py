"""What the tidy records hold: files, columns, and what makes a line of them unique. Needs no pandas."""

MODEL = ["schedule", "dataset", "arch", "method", "eps_train", "seed"]
CELL = ["certifier", "norm", "points", "points_seed", "clip_input", "intersect_ibp", "eps_cert"]
ATTACK = ["attack", "norm", "points", "points_seed", "eps_cert"]
ORIGIN = ["variant", "data_sha256", "device", "threads", "commit", "torch", "spec_hash", "model_sha256"]
ADDED = {"intersect_ibp": "False"}
"""Columns of a cell that older records lack, and what holds for these."""
UNDISTURBED, DISTURBED, UNKNOWN = "undisturbed", "disturbed", "unknown"
"""Whether a training's process had a processor for itself, so that its seconds can be compared with another's."""
SELECTION = ["dataset", "data_sha256", "points_seed", "points"]
COLUMNS = {
    "training": [*MODEL, "seconds", "timing", "test_accuracy", "parameters", "steps", *ORIGIN],
    "certified_accuracy": [
        *MODEL, *CELL, "certified", "accuracy", "wilson_low", "wilson_high", "std", "seconds", *ORIGIN,
    ],
    "verdicts": [*MODEL, *CELL, "spec_hash", "model_sha256", "verdicts"],
    "robust_accuracy": [
        *MODEL, *ATTACK, "not_broken", "accuracy", "wilson_low", "wilson_high", "std", "seconds", *ORIGIN, "verdicts",
    ],
    "points": [*SELECTION, "indices"],
}  # fmt: skip
KEYS = {
    "training": MODEL,
    "certified_accuracy": [*MODEL, *CELL],
    "verdicts": [*MODEL, *CELL],
    "robust_accuracy": [*MODEL, *ATTACK],
    "points": SELECTION,
}
FILES = {
    "training": "training.csv",
    "certified_accuracy": "certified_accuracy.csv",
    "verdicts": "verdicts.csv.gz",
    "robust_accuracy": "robust_accuracy.csv",
    "points": "points.csv.gz",
}
SUMS = "SHA256SUMS"
"""Beside the files: the hash of each, as sha256sum(1) writes it."""
NUMBERS = {
    **dict.fromkeys(("seed", "points", "points_seed", "parameters", "steps", "certified", "not_broken"), int),
    **dict.fromkeys(("seconds", "test_accuracy", "accuracy", "wilson_low", "wilson_high", "std"), float),
}
VALIDATION = ", validation split"
"""What the variant of the data ends with where points are not the test set's; tables say so."""
REMARKS = "inconsistencies.yaml"
"""Beside the paper's reported cells: what does not fit in the paper itself."""
