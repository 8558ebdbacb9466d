"""What a training job leaves: pruned ReLUs, the record, and the model as loaded again."""

import json

import pytest
import torch
from small_images import digits, model, save, worst_case

from dmcore.checkpoint import load_model
from dmcore.nets.layers import Scale
from dmcore.spec import Pruning
from dmcore.training.loop import accuracy, train
from doublemargin.experiment.jobs import train as job
from doublemargin.experiment.jobs.train import Task, train_jobs
from doublemargin.files import read_json

CPU = torch.device("cpu")


@pytest.fixture
def prepared(tmp_path):
    return save(digits(), tmp_path / "digits.safetensors", variant="made up")


def test_a_record_says_whether_operations_were_fused(prepared, tmp_path, monkeypatch, capsys):
    tried = []
    monkeypatch.setattr(job, "can_fuse", lambda device: bool(tried.append(device)))
    task = Task(model(steps=2), prepared, tmp_path / "m.safetensors", tmp_path / "training.json")
    for worth, lines in ((3, []), (2, ["no working compiler for cpu: the operations are not fused"])):
        monkeypatch.setattr(job, "WORTH_COMPILING", worth)
        (record,) = train_jobs([task], CPU, cuda_graphs=True, fused=True)
        made = record["provenance"]
        assert (made["fused"], made["cuda_graphs"], len(tried)) == (False, False, len(lines))
        assert [line for line in capsys.readouterr().err.splitlines() if "fused" in line] == lines
    monkeypatch.setattr(job, "can_fuse", lambda device: True)
    assert train_jobs([task], CPU, fused=True)[0]["provenance"]["fused"] is True


def test_a_record_says_whether_models_were_stacked(prepared, tmp_path):
    specs = [model(worst_case("interval"), eps=eps, steps=3) for eps in ("0.1", "0.2")] + [model(steps=3)]
    tasks = [
        Task(spec, prepared, tmp_path / spec.eps / "m.safetensors", tmp_path / f"{spec.eps}.json") for spec in specs
    ]
    for stack, said in ((1, [None] * 3), (2, [True, True, None])):
        records = train_jobs(tasks, CPU, stack=stack)
        assert [record["spec_hash"] for record in records] == [spec.hash for spec in specs]
        assert [record["provenance"].get("stacked") for record in records] == said


@pytest.mark.slow
@pytest.mark.parametrize("members", [1, 2])
def test_pruned_relus_survive_saving_and_are_what_is_scored(prepared, tmp_path, members):
    spec = model(steps=40, pruning=Pruning(relus=0.1), members=members)
    (record,) = train_jobs([Task(spec, prepared, tmp_path / "m.safetensors", tmp_path / "training.json")], CPU)
    assert read_json(tmp_path / "training.json") == json.loads(json.dumps(record))
    net, loaded, weights = load_model(tmp_path / "m.safetensors")
    assert (loaded, weights) == (spec, record["model_sha256"])
    assert record["test_accuracy"] == accuracy(digits().test, lambda x: net(x).argmax(1))
    assert record["data"]["variant"] == "made up"
    keep = torch.cat([layer.factor.flatten() for layer in list(net.layers) if isinstance(layer, Scale)])
    assert 0 < keep.mean() < 1
    plain = train(model(steps=40, members=members), digits(), CPU).net
    x = digits().test.x[:20].float() / 255
    assert not torch.equal(net(x), plain(x))
    ours, theirs = net.state_dict().values(), plain.state_dict().values()
    assert sum(t.numel() for t in ours) > sum(t.numel() for t in theirs)
