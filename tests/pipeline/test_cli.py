"""The command line: a user's mistake is one line on standard error and exit code 2."""

import io
import json
import shutil

import pytest
import torch
from flips import named, stopped
from small_images import ROOT, digits, model, save, worst_case

from dmcore import tensorfile
from dmcore.attacks.evaluate import attack_points
from dmcore.certify import margin_bounds
from dmcore.checkpoint import KIND, load_model, save_model
from dmcore.data import load_images, pixels
from dmcore.data.prepared import KIND as IMAGES
from dmcore.nets.layers import Conv, Linear
from dmcore.radius import certified_radius
from dmcore.registries import regularizer
from dmcore.registry import use_plugins
from dmcore.regularizers import Batch
from dmcore.training.step import seeded_net
from doublemargin.cli import main
from doublemargin.experiment.config import load_config
from doublemargin.files import read_json
from doublemargin.records.cells import each_cell
from doublemargin.records.columns import FILES, SUMS

SPEC = model(worst_case("double_margin"), eps="0.1", steps=4, warmup=1, ramp=2)


@pytest.fixture
def data(tmp_path):
    return save(digits(), tmp_path / "data")


def run(*arguments):
    main([str(a) for a in arguments])


def fails(capsys, *arguments):
    return stopped(capsys, *arguments)[-1]


def test_train_then_certify(data, tmp_path, capsys):
    weights, record = tmp_path / "m", tmp_path / "r.json"
    spec = json.dumps(SPEC.to_dict())
    run("train", "--spec", spec, "--data", data, "--model", weights, "--record", record, "--device", "cpu")
    made = json.loads(record.read_text())
    assert made["model"] == "test/mnist/small/method/0.1/seed0"
    assert (made["spec_hash"], made["parameters"]) == (SPEC.hash, 636806)
    assert made["data"]["variant"] == "official"
    assert made["provenance"]["device"].startswith("CPU (")
    assert [entry["step"] for entry in made["history"]] == [1, 2, 3, 4]
    net, loaded, sha = load_model(weights)
    assert loaded == SPEC
    assert made["model_sha256"] == sha

    arguments = ["--model", weights, "--data", data, "--certifier", "ibp", "--points", 20, "--out", tmp_path / "c.json"]
    run("certify", *arguments, "--eps", "0", "8/255", "--device", "cpu")
    clean, wider = each_cell(read_json(tmp_path / "c.json"))
    x, y = digits().test.x[clean["indices"]].float() / 255, digits().test.y[clean["indices"]]
    z = net(x).detach()
    assert clean["labels"] == y.tolist()
    assert clean["predicted"] == z.argmax(1).tolist()
    assert clean["certified"] == (z.argmax(1) == y).tolist()
    others = z.scatter(1, y[:, None], -torch.inf).amax(1)
    assert clean["margins"] == pytest.approx((z.gather(1, y[:, None])[:, 0] - others).tolist(), abs=1e-5)
    assert (clean["certifier"], clean["norm"], clean["eps"], clean["points"]) == ("ibp", "linf", "0", 20)
    assert wider["eps"] == "8_255"
    assert clean["certified_accuracy"] == sum(clean["certified"]) / 20
    assert clean["certified_by"] == {"ibp": sum(clean["certified"])}
    assert all(a >= b for a, b in zip(clean["margins"], wider["margins"], strict=True))


@pytest.mark.parametrize("flags", [(), ("--clip-input",), ("--intersect-ibp",)])
def test_the_options_of_a_certification_count_and_are_told(data, tmp_path, flags):
    net, x = seeded_net(SPEC), digits().test
    for layer in net.layers[:-1]:
        if isinstance(layer, Conv | Linear):  # with weights ≥ 0 intervals are ahead of lines, by far
            layer.weight.data.abs_()
            layer.bias.data = -0.05 * layer.weight_rows().detach().sum(1)
    save_model(tmp_path / "m", net, SPEC)
    arguments = ["--model", tmp_path / "m", "--data", data, "--certifier", "cnn-cert-relu", "--points", 5, *flags]
    run("certify", *arguments, "--eps", "0.4", "--out", tmp_path / "c.json", "--device", "cpu")
    (record,) = each_cell(read_json(tmp_path / "c.json"))
    clip, intersect = ("--clip-input" in flags, "--intersect-ibp" in flags)
    assert (record["clip_input"], record["intersect_ibp"]) == (clip, intersect)
    x, y = x.x[record["indices"]].float() / 255, x.y[record["indices"]]
    expected = margin_bounds(net, x, y, 0.4, clip_input=clip, intersect_ibp=intersect).amin(1)
    assert record["margins"] == pytest.approx(expected.tolist(), rel=1e-4)
    if intersect:
        assert (expected > 0.9 * margin_bounds(net, x, y, 0.4, clip_input=clip).amin(1)).all()  # all < 0


def ranking(data, tmp_path, *more, spec=SPEC):
    if not (tmp_path / "m").exists():
        save_model(tmp_path / "m", seeded_net(spec), spec)
    where = ["--model", tmp_path / "m", "--data", data, "--config", ROOT / "config.yaml", "--points", 20]
    return ["regularizers", *where, "--device", "cpu", *more]


def test_regularizers_are_ranked_by_their_distances(data, tmp_path, capsys):
    """Under an overwhelming damping the metric is the plain one over γ, whatever H is."""
    more = ["--target", "ibp", "--methods", "dm", "l2", "--eps", "0.05", "--damping", 1e8, "--float64"]
    run(*ranking(data, tmp_path, *more, "--out", tmp_path / "r.json"))
    made = json.loads((tmp_path / "r.json").read_text())
    indices = torch.randperm(2000, generator=torch.Generator().manual_seed(0))[:20]
    x, y = digits().train.x[indices].double() / 255, digits().train.y[indices]
    batch = Batch(seeded_net(SPEC).double(), x, y, 0.05)
    gradients = {}
    for name, term in (
        ("ibp", regularizer.get("worst_case")(domain="interval", clip_input=True)),
        ("dm", regularizer.get("worst_case")(domain="double_margin")),
        ("l2", regularizer.get("weight_norm")(norm="l2")),
    ):
        weights = list(batch.net.parameters())
        found = torch.autograd.grad(term.value(batch), weights, retain_graph=True, materialize_grads=True)
        gradients[name] = torch.cat([g.flatten() for g in found])
    distances = {name: ((g - gradients["ibp"]).norm() / 1e4).item() for name, g in gradients.items()}
    (table,) = made["rankings"]
    found = {row["name"]: row["distance"] for row in table["rows"]}
    assert list(found) == sorted(distances, key=distances.get)
    assert found == pytest.approx(distances, rel=1e-4, abs=1e-9)
    assert (made["target"], made["eps"], made["settings"]["damping"]) == ("ibp", "0.05", [1e8])
    shown = capsys.readouterr().out
    assert "test/mnist/small/method/0.1/seed0: 20 training points, ε = 0.05" in shown
    far = table["rows"][-1]
    cells = [far["name"], f"{far['distance']:.4g}", f"{far['relative_distance']:.5g}", "no"]
    assert cells in [line.split()[:4] for line in shown.splitlines()]
    assert "Not solved" not in shown


def test_a_ranking_with_random_numbers_is_the_same_twice_and_tells_what_was_not_solved(data, tmp_path, capsys):
    more = ["--target", "trades", "--methods", "bounded", "--eps", "8/255", "--points", 4, "--max-steps", 2]
    shown = []
    for _ in range(2):
        run(*ranking(data, tmp_path, *more, "--damping", "1", "0.01"))
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]
    assert "H + 1·I" in shown[0]
    assert "H + 0.01·I" in shown[0]
    assert "Not solved to the tolerance 0.001: trades, bounded." in shown[0]
    run(*ranking(data, tmp_path, *more, "--seed", "1"))
    assert capsys.readouterr().out.splitlines()[-3:] != shown[0].splitlines()[-3:]


def test_mistakes_in_a_ranking_are_one_line(data, tmp_path, capsys):
    def message(target, *methods, **options):
        more = [part for key, value in options.items() for part in (f"--{key}", value)]
        return fails(capsys, *ranking(data, tmp_path, "--target", target, "--methods", *methods, *more))

    assert "the config has no method 'ibb': did you mean 'ibp'?" in message("ibb", "l1", eps="0.1")
    assert "the method 'normal' adds nothing to the base loss" in message("l1", "normal")
    assert "the method 'dm' needs an ε > 0" in message("l1", "dm")
    assert "the method 'dm' needs an ε > 0" in message("l1", "dm", eps="0")
    assert "several norms ('ibp' in linf, 'dm_for_l0' in l0)" in message("ibp", "dm_for_l0", "l1", eps="1")
    assert "under the norm l0 eps counts changed inputs" in message("dm_for_l0", "l1", eps="0.5")
    assert "2001 training points asked for, but there are 2000" in message("l1", "l2", points=2001)
    assert "the damping 1e-06 does not make it positive" in message("l1", "l2", curvature="hessian", damping="1e-6")
    assert "'0' is not a number > 0" in message("l1", "l2", damping="0")
    assert "'0' is not a whole number > 0" in message("l1", "l2", **{"points-at-once": 0})
    net = seeded_net(SPEC)
    torch.nn.init.constant_(net.layers[0].weight, torch.inf)
    save_model(tmp_path / "m", net, SPEC)
    assert "the gradient of the base loss is not finite" in message("ibp", "l2", eps="0.1")


def test_spec_prints_what_tables_takes_and_refuses_what_is_not_there(capsys, tmp_path):
    config = json.loads(json.dumps(load_config(ROOT / "config.yaml")))
    config["methods"]["dm"]["label"] = "DM of this config"
    (tmp_path / "config.json").write_text(json.dumps(config))
    run("spec", "demo/tables/table2", "--config", tmp_path / "config.json")
    spec = json.loads(capsys.readouterr().out)
    assert set(spec) == {"table2"}
    assert "DM of this config" in [row["label"] for row in spec["table2"]["panels"][0]["rows"]]
    where = ["--config", ROOT / "config.yaml"]
    for path, told in (
        ("dmo/tables/table2", "the config has no schedule 'dmo' (did you forget --configfile?): did you mean 'demo'?"),
        ("demo/tabels/table2", "'tabels' is neither 'tables' nor 'figures'"),
        ("demo/figures/figure7", "'demo' has no figure 'figure7': did you mean 'figure1'?"),
    ):
        assert told in fails(capsys, "spec", path, *where)


def test_data_prepares_what_spec_prints(capsys, tmp_path, monkeypatch):
    run("spec", "mnist", "--config", ROOT / "config.yaml")
    monkeypatch.setattr("sys.stdin", io.StringIO(capsys.readouterr().out))
    where = ["--places", ROOT / "resources", "--cache", tmp_path / "cache", "--resources", tmp_path / "none"]
    run("data", "mnist", "--spec", "-", *where, "--out", tmp_path / "mnist")
    told, meta = capsys.readouterr().out, tensorfile.load(tmp_path / "mnist", IMAGES)[1]
    assert "60000 training and 10000 test images of mnist (official)" in told
    assert f"to pin them: content: {meta['sha256']}" in told


def test_exhibits_before_anything_was_run(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)  # the config names the paper's cells from there
    (tmp_path / "config.json").write_text(json.dumps(load_config(ROOT / "config.yaml")))  # as the rules write it
    for what in ("short/tables/table10", "short"):
        run("exhibit", what, "--config", tmp_path / "config.json", "--results", tmp_path)
    assert "0 of 18 cells compared (18 not run)" in (tmp_path / "short/comparisons/table10.md").read_text()
    assert "24 not run" in (tmp_path / "short/verdict.md").read_text()


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    tensors = seeded_net(SPEC).state_dict()
    tensors["layers.0.weight"] = torch.zeros(3, 3)
    tensorfile.save(tmp_path / "m", KIND, tensors, {"spec": json.dumps(SPEC.to_dict())})
    with named("does not fit the architecture 'small'"):
        load_model(tmp_path / "m")


def test_info(capsys, tmp_path):
    run("info")
    shown = capsys.readouterr().out
    assert "certifiers: alpha, cnn-cert-ada, cnn-cert-relu, cnn-cert-zero, ibp, milp" in shown
    assert "readers: cifar-binary, csv, gtsrb-zip, idx, npz, parquet" in shown
    names = "convex_outer, crown_ibp, expressive, mmr, relu_stability, shi_warmup, trades, weight_norm, worst_case"
    assert f"regularizers: {names}" in shown
    assert "attacks: pgd" in shown
    run("info", "--architectures")
    shown = capsys.readouterr().out
    assert "| `small` | 1×28×28 | 10 | 636,806 | 9,508 |" in shown
    assert "| 1 | convolution 4×4/2, 16 filters | input |" in shown
    save_model(tmp_path / "m", seeded_net(SPEC), SPEC)
    run("info", tmp_path / "m")
    assert "test/mnist/small/method/0.1/seed0" in capsys.readouterr().out


def test_radius_attack_and_bracket(data, tmp_path, capsys):
    net, images = seeded_net(SPEC), digits().train
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(15):  # so that some points are right
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(images.x[:200].float() / 255), images.y[:200]).backward()
        optimizer.step()
    save_model(tmp_path / "m", net, SPEC)
    where = ["--model", tmp_path / "m", "--data", data, "--points", 20, "--device", "cpu"]
    run("radius", *where, "--certifier", "ibp", "--tolerance", 0.1, "--out", tmp_path / "r.json")
    made = json.loads((tmp_path / "r.json").read_text())
    x, y = digits().test.x[made["indices"]].float() / 255, digits().test.y[made["indices"]]
    found = certified_radius(net, x, y, certifier="ibp", tolerance=0.1)
    right = net(x).argmax(1) == y
    assert 3 < right.sum() < 20
    assert [r is None for r in made["radii"]] == (~right).tolist()
    kept = found.radius[right]
    assert [r for r in made["radii"] if r is not None] == pytest.approx(kept.tolist(), rel=1e-6)
    assert made["mean_radius"] == pytest.approx(kept.mean().item())
    assert made["median_radius"] == pytest.approx(kept.median().item(), rel=0.1)
    assert made["left_out"] == (~right).sum().item()
    assert f"| ibp | 20 | {right.double().mean():.1%} | {made['mean_radius']:.4g} | " in capsys.readouterr().out

    eps = f"{kept.median().item() / 2:.8f}", "0.5"
    run("certify", *where, "--certifier", "ibp", "--eps", *eps, "--out", tmp_path / "c.json")
    for e in eps:  # the second is added to the first
        run("attack", *where, "--eps", e, "--steps", 3, "--restarts", 1, "--out", tmp_path / "a.json")
    proofs, attacks = (list(each_cell(read_json(tmp_path / name))) for name in ("c.json", "a.json"))
    broken = attack_points(net, x, y, 0.5, steps=3, restarts=1).broken
    assert attacks[1]["broken"] == broken.tolist()
    assert attacks[1]["robust_accuracy_upper_bound"] == 1 - broken.sum().item() / 20
    assert (attacks[1]["attack"], attacks[1]["steps"], attacks[1]["library"]) == ("pgd", 3, None)
    shared = ("model", "spec_hash", "model_sha256", "norm", "eps", "points", "points_seed", "indices", "labels", "data")
    for proof, attack in zip(proofs, attacks, strict=True):
        assert {key: proof[key] for key in shared} == {key: attack[key] for key in shared}
    assert sum(proofs[0]["certified"]) > 0
    run("bracket", tmp_path / "c.json", tmp_path / "a.json")
    assert f"| 0.5 | 0.0% | 0.0% | {attacks[1]['robust_accuracy_upper_bound']:.1%} |" in capsys.readouterr().out


def test_a_plugin_named_before_the_command_is_used(capsys, tmp_path):
    (tmp_path / "mine.py").write_text('@architecture("mine")\ndef mine(b, num_classes): ...\n')
    run("--plugin", tmp_path / "mine.py", "info")
    assert "architectures: cnn7, large, medium, mine, pooling" in capsys.readouterr().out
    use_plugins([])
    assert "unknown argument '--pont'" in fails(capsys, "--plugin", tmp_path / "mine.py", "info", "--pont")
    use_plugins([])


def test_the_validation_split_is_certified_if_it_is_asked_for(capsys, tmp_path):
    """Its points are no test points, and the record says so."""
    held = {"share": 0.1, "seed": 3, "by": "point"}
    data = save(digits(), tmp_path / "data", validation=held)
    save_model(tmp_path / "m", seeded_net(SPEC), SPEC)
    where = ["--model", tmp_path / "m", "--data", data, "--certifier", "ibp", "--points", 15, "--device", "cpu"]
    run("certify", *where, "--eps", "0", "--split", "validation", "--out", tmp_path / "c.json")
    (record,) = each_cell(read_json(tmp_path / "c.json"))
    images = load_images(data)
    assert record["labels"] == images.validation.y[record["indices"]].tolist()
    assert record["labels"] != images.test.y[record["indices"]].tolist()
    assert record["data"]["variant"] == images.info["variant"] + ", validation split"
    run("certify", *where, "--eps", "0", "--out", tmp_path / "c.json")  # which are other points: nothing of it stays
    (record,) = each_cell(read_json(tmp_path / "c.json"))
    x = pixels(images.test.x[record["indices"]])
    assert record["predicted"] == seeded_net(SPEC)(x).argmax(1).tolist()
    assert record["labels"] == images.test.y[record["indices"]].tolist()
    save(digits(), tmp_path / "none")
    told = fails(capsys, *("certify", *where[:2], "--data", tmp_path / "none", "--eps", "0", "--split", "validation"))
    assert told.endswith("has no validation split: give the data set one in the config")


def test_an_exhibit_is_made_of_the_records_where_there_are_no_result_files(tmp_path):
    folder = tmp_path / "modern"
    folder.mkdir()
    for file in (*FILES.values(), SUMS):
        shutil.copy(ROOT / "results/modern" / file, folder)
    run("exhibit", "modern/tables/modern2", "--config", ROOT / "config.yaml", "--results", tmp_path)
    assert "nothing has been run yet" not in (folder / "tables/modern2.md").read_text()
