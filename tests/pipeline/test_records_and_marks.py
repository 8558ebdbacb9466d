"""The pipeline's files: sealed records, advice on damaged ones, marks of what we wrote, what the repository brings."""

import json
import re
from pathlib import Path

import pytest
from flips import every_flip_is_named, named
from small_images import ROOT

from dmcore.files import sealed
from dmcore.recognise import TENSORS, carries
from doublemargin.files import ONNX, RECORD, read_json, record, remake, shipped, write_json

CONTENT = {
    "model": "demo/m",
    "spec_hash": "5" * 16,
    "share": 0.1,
    "none": None,
    "history": [{"ε": 1e-3}],
    "data": {"sha256": "d" * 64},
}
MODEL = "results/demo/mnist/small/dm/0.1/seed0"
MEND = "write it again with the command that wrote it"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1', "is a JSON file, not a record that dmcore wrote"),
        ("", "is an empty file, not a record that dmcore wrote"),
        (json.dumps(CONTENT, indent=1), "it has no seal: it is damaged, edited or of an older version"),
    ],
)
def test_what_is_no_record_is_named(tmp_path, text, told):
    (tmp_path / "r.json").write_text(text)
    with named(tmp_path / "r.json", told):
        read_json(tmp_path / "r.json")


def test_json_has_no_nan(tmp_path):
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "r.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_what_the_repository_brings_along_is_found_from_anywhere_but_ones_own_goes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped("resources/mnist") == ROOT / "resources/mnist"
    assert shipped("resources/missing") == Path("resources/missing")
    (tmp_path / "resources/mnist").mkdir(parents=True)
    assert shipped("resources/mnist") == Path("resources/mnist")
    assert shipped(tmp_path / "none") == tmp_path / "none"


def test_every_byte_of_a_result_file(tmp_path):
    path = tmp_path / "training.json"
    write_json(path, CONTENT)
    assert read_json(path) == CONTENT
    every_flip_is_named(path, lambda: read_json(path), MEND)


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text + "\n",
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text[:-3],
        lambda text: json.dumps(json.loads(text)),
        lambda text: text.replace("{", '{\n "seal": "' + "0" * 64 + '",', 1),
    ],
)
def test_edits_by_hand_are_seen(tmp_path, edit):
    path = tmp_path / "0.1.json"
    write_json(path, CONTENT)
    path.write_bytes(edit(path.read_text()).encode())
    with named(f"{path} is no intact record"):
        read_json(path)


def test_a_record_written_again_is_sealed_again(tmp_path):
    path = tmp_path / "r.json"
    write_json(path, CONTENT)
    first = path.read_bytes()
    write_json(path, json.loads(first))
    assert path.read_bytes() == first


def test_json_nested_too_deeply_is_one_line(tmp_path):
    path = tmp_path / "r.json"
    path.write_bytes(sealed(b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b', "seal": "' + b"0" * 64 + b'"}'))
    with named(path, "nested too deeply"):
        read_json(path)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (
            f"{MODEL}/certify/ibp/linf/n4.json",
            f"restore a copy of it, or make it again: snakemake --cores 1 --force {MODEL}/certify/ibp/linf/n4.json",
        ),
        (
            f"{MODEL}/model.safetensors",
            "restore a copy of it, or make it again (this trains the model again): snakemake --cores 1 --force "
            f"{MODEL}/model.safetensors",
        ),
        (
            "data/mnist.safetensors",
            "restore a copy of it, or make it again, with an age at which nothing is trained again: snakemake --cores "
            "1 --force data/mnist.safetensors && touch -t 200001010000 data/mnist.safetensors",
        ),
        ("results/a b/c/d/e/f/seed0/training.json", "--force 'results/a b/c/d/e/f/seed0/training.json'"),
        ("results/demo/m/model.safetensors", MEND),  # no rule makes these
        ("data/sources/digits/test.npz", MEND),
        ("/elsewhere/m.safetensors", MEND),
        ("m.json", MEND),
    ],
)
def test_the_mend_is_a_command(path, told):
    assert remake(path).endswith(told)


def test_a_record_carries_its_mark_and_no_other(tmp_path):
    path = tmp_path / "r"
    write_json(path, {"model": "m", "spec_hash": "0" * 16, "attack": "pgd", "points": [1], "eps": "0.1"})
    assert [carries(path, mark) for mark in (TENSORS, RECORD, ONNX)] == [False, True, False]
    assert [carries(path, record(key)) for key in ("attack", "eps")] == [True, False]  # the second comes late


def test_a_damaged_byte_leaves_the_mark(tmp_path):
    write_json(tmp_path / "r", {"model": "m", "spec_hash": "0" * 16})
    content = (tmp_path / "r").read_bytes()
    places = [place for found in RECORD.finditer(content) for place in range(*found.span())]
    assert len(places) > 50
    for place in places:
        assert re.search(RECORD, content[:place] + b"\xff" + content[place + 1 :])
