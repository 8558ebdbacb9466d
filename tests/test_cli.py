"""The command line: a user's mistake is one line on standard error and exit code 2."""

import json

import pytest
import torch
from small_images import ROOT, digits, model, worst_case

from dmcore import tensorfile
from dmcore.checkpoint import KIND, load_model, save_model
from dmcore.cli import main
from dmcore.data.prepared import KIND as IMAGES
from dmcore.errors import UserError
from dmcore.training.step import seeded_net

SPEC = model(worst_case("double_margin"), eps="0.1", steps=4, warmup=1, ramp=2)


@pytest.fixture
def data(tmp_path):
    images = digits()
    tensors = {
        f"{name}_{part}": getattr(getattr(images, name), part) for name in ("train", "test") for part in ("x", "y")
    }
    tensorfile.save(tmp_path / "data", IMAGES, tensors, {"info": json.dumps(images.info)})
    return tmp_path / "data"


def run(*arguments):
    main([str(a) for a in arguments])


def fails(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        run(*arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err.strip().splitlines()[-1]


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

    arguments = ["--model", weights, "--data", data, "--certifier", "ibp", "--points", 20, "--out", tmp_path / "c"]
    run("certify", *arguments, "--eps", "0", "8/255", "--device", "cpu")
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["0.json", "8_255.json"]
    clean = json.loads((tmp_path / "c/0.json").read_text())
    x, y = digits().test.x[clean["indices"]].float() / 255, digits().test.y[clean["indices"]]
    z = net(x).detach()
    assert clean["labels"] == y.tolist()
    assert clean["predicted"] == z.argmax(1).tolist()
    assert clean["certified"] == (z.argmax(1) == y).tolist()
    others = z.scatter(1, y[:, None], -torch.inf).amax(1)
    assert clean["margins"] == pytest.approx((z.gather(1, y[:, None])[:, 0] - others).tolist(), abs=1e-5)
    assert (clean["certifier"], clean["norm"], clean["eps"], clean["points"]) == ("ibp", "linf", "0", 20)
    assert clean["certified_accuracy"] == sum(clean["certified"]) / 20
    wider = json.loads((tmp_path / "c/8_255.json").read_text())
    assert all(a >= b for a, b in zip(clean["margins"], wider["margins"], strict=True))


def test_the_same_certification_twice_gives_the_same_file(data, tmp_path):
    save_model(tmp_path / "m", seeded_net(SPEC), SPEC)
    records = []
    for out in ("a", "b"):
        arguments = ["--model", tmp_path / "m", "--data", data, "--certifier", "cnn-cert-relu", "--points", 5]
        run("certify", *arguments, "--eps", "0.01", "--out", tmp_path / out, "--device", "cpu")
        records.append(json.loads((tmp_path / out / "0.01.json").read_text()))
        del records[-1]["seconds"]
    assert records[0] == records[1]


def test_mistakes_are_one_line(data, tmp_path, capsys, monkeypatch):
    save_model(tmp_path / "m", seeded_net(SPEC), SPEC)
    good = {"--model": tmp_path / "m", "--data": data, "--certifier": "ibp", "--eps": "0.1", "--out": tmp_path / "c"}

    def message(**changes):
        arguments = good | {f"--{k.replace('_', '-')}": v for k, v in changes.items()}
        return fails(capsys, "certify", *[part for item in arguments.items() for part in item])

    assert "unknown certifier 'ipb': did you mean 'ibp'?" in message(certifier="ipb")
    assert "unknown norm 'l3'" in message(norm="l3")
    assert "eps ' -0.1' is not a radius" in message(eps=" -0.1")
    assert "301 test points asked for, but the test set has 300" in message(points=301)
    assert "nowhere does not exist" in message(model=tmp_path / "nowhere")
    assert "is not a dmcore.model file, but dmcore.images" in message(model=data)
    assert "is not a dmcore.images file, but dmcore.model" in message(data=tmp_path / "m")
    (tmp_path / "m").write_bytes((tmp_path / "m").read_bytes()[:-7])
    assert "is truncated or no safetensors file" in message()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "torch sees no GPU" in message(device="cuda")
    assert not (tmp_path / "c").exists()
    assert "not JSON" in fails(capsys, "train", "--spec", "{", "--data", data, "--model", "m", "--record", "r")
    where = ["--config", ROOT / "config.yaml"]
    assert "did you mean 'demo'?" in fails(capsys, "spec", "dmo/mnist/small/dm/0.3/seed0", *where)


def test_spec_prints_what_train_takes(capsys):
    run("spec", "demo/mnist/small/dm/0.3/seed0", "--config", ROOT / "config.yaml")
    assert json.loads(capsys.readouterr().out)["method"]["regularizers"][0]["options"] == {"domain": "double_margin"}


def test_data_prepares_what_spec_prints(capsys, tmp_path):
    run("spec", "mnist", "--config", ROOT / "config.yaml")
    spec = capsys.readouterr().out
    where = ["--places", ROOT / "resources", "--cache", tmp_path / "cache", "--resources", tmp_path / "none"]
    run("data", "mnist", "--spec", spec, *where, "--out", tmp_path / "mnist")
    assert "60000 training and 10000 test images of mnist (official)" in capsys.readouterr().out
    assert tensorfile.load(tmp_path / "mnist", IMAGES)[1]["kind"] == IMAGES


def test_data_that_are_nowhere_are_one_line(capsys, tmp_path):
    run("spec", "mnist", "--config", ROOT / "config.yaml")
    spec = json.loads(capsys.readouterr().out)
    del spec["sources"][0]["urls"]
    arguments = ["--cache", tmp_path / "cache", "--resources", tmp_path / "none", "--out", tmp_path / "mnist"]
    told = fails(capsys, "data", "mnist", "--spec", json.dumps(spec), *arguments)
    assert told.startswith("dmcore: error: data set 'mnist': no source works; tried: ")
    assert told.endswith(f"(official) into {tmp_path}/cache/mnist")


def test_comparisons_and_verdict_before_anything_was_run(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)  # the config names the paper's cells from there
    run("spec", "short")
    spec = json.loads(capsys.readouterr().out)
    where = ["--records", tmp_path / "none", "--out", tmp_path]
    run("comparisons", "--spec", json.dumps({"table10": spec["tables"]["table10"]}), *where)
    run("verdict", "--spec", json.dumps(spec), *where)
    assert "0 of 18 cells compared (18 not run)" in (tmp_path / "table10.md").read_text()
    assert "24 not run" in (tmp_path / "verdict.md").read_text()


def test_a_report_that_has_nothing_of_the_papers_is_refused(capsys, tmp_path):
    run("spec", "demo", "--config", ROOT / "config.yaml")
    spec = capsys.readouterr().out
    told = fails(capsys, "verdict", "--spec", spec, "--records", tmp_path, "--out", tmp_path)
    assert told.startswith("dmcore: error: the report of schedule 'demo' has no numbers of the paper to compare with;")


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    tensors = seeded_net(SPEC).state_dict()
    tensors["layers.0.weight"] = torch.zeros(3, 3)
    tensorfile.save(tmp_path / "m", KIND, tensors, {"spec": json.dumps(SPEC.to_dict())})
    with pytest.raises(UserError, match="does not fit the architecture 'small'") as error:
        load_model(tmp_path / "m")
    assert "\n" not in str(error.value)


def test_info(capsys, tmp_path):
    run("info")
    shown = capsys.readouterr().out
    assert "certifiers: cnn-cert-ada, cnn-cert-relu, cnn-cert-zero, ibp" in shown
    assert "readers: cifar-binary, gtsrb-zip, idx, npz, parquet" in shown
    assert "regularizers: convex_outer, mmr, relu_stability, trades, weight_norm, worst_case" in shown
    assert "attacks: pgd" in shown
    run("info", "--architectures")
    assert capsys.readouterr().out == (ROOT / "docs/architectures.md").read_text(encoding="utf-8")
    save_model(tmp_path / "m", seeded_net(SPEC), SPEC)
    run("info", tmp_path / "m")
    assert "test/mnist/small/method/0.1/seed0" in capsys.readouterr().out
