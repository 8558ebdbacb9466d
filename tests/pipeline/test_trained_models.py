"""The committed models are those of the records, and are certified today as they were then."""

import re

import pandas as pd
import pytest
from small_images import ROOT, digits

from dmcore import certify_points, load_model
from dmcore.data import pixels

MODELS = sorted((ROOT / "resources/models").glob("*.safetensors"))
assert MODELS  # or nothing would be tested
RECORDS = ROOT / "results/paper"


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_a_model_is_the_records_own(path):
    net, spec, sha256 = load_model(path)
    training = pd.read_csv(RECORDS / "training.csv").query("model_sha256 == @sha256[:16]").iloc[0]
    assert training.spec_hash == spec.hash
    verdicts = pd.read_csv(RECORDS / "verdicts.csv.gz", dtype={"verdicts": str})
    verdicts = verdicts.query("model_sha256 == @sha256[:16] and points == 200")
    points = pd.read_csv(RECORDS / "points.csv.gz").query("dataset == 'mnist' and points == 200")
    chosen = [int(index) for index in points.indices.item().split()][:20]
    test = digits(test=10_000).test
    for certifier, eps in (("ibp", 0.1), ("cnn-cert-relu", 0.05), ("cnn-cert-zero", 0.3)):
        for then in verdicts.query("certifier == @certifier and norm == 'linf' and eps_cert == @eps").verdicts:
            result = certify_points(net, pixels(test.x[chosen]), test.y[chosen], eps, certifier=certifier)
            assert "".join("01"[certified] for certified in result.certified.tolist()) == then[:20], (certifier, eps)
    (card,) = re.findall(rf"^\| `{re.escape(path.stem)}` .*$", (path.parent / "README.md").read_text(), re.M)
    cells = pd.read_csv(RECORDS / "certified_accuracy.csv").query("model_sha256 == @sha256[:16] and points == 200")
    cells = cells.query("norm == 'linf'").set_index(["certifier", "eps_cert"]).accuracy
    shown = [cells.get((certifier, eps)) for certifier in ("cnn-cert-relu", "cnn-cert-zero") for eps in (0.1, 0.3)]
    assert None not in shown[:2]
    numbers = " | ".join("–" if s is None else f"{100 * s:.1f}" for s in [training.test_accuracy, *shown])
    assert card.endswith(f" | {numbers} | `{sha256[:16]}` |")
