"""Certified beside attacked: what the table counts, and that a contradiction is never passed over."""

import pytest
from flips import stopped

from dmcore.errors import UserError
from doublemargin.cli import main
from doublemargin.experiment.bracket import bracket, check_sides, read_sides
from doublemargin.records.cells import write_cells

BASE = {"model": "demo/m", "model_sha256": "a", "norm": "linf", "indices": [7, 3, 9, 4], "labels": [0, 1, 2, 3]}
OF_A_CELL = ("certified", "certified_accuracy", "broken", "robust_accuracy_upper_bound")


def proof(eps, certified, certifier="ibp", **more):
    share = sum(certified) / 4
    said = {"certifier": certifier, "certified": [bool(c) for c in certified], "certified_accuracy": share}
    return BASE | {"eps": eps, "clip_input": False, "file": f"{certifier}/n4"} | said | more


def attack(eps, broken, name="pgd", **more):
    share = 1 - sum(broken) / 4
    said = {"attack": name, "broken": [bool(b) for b in broken], "robust_accuracy_upper_bound": share}
    return BASE | {"eps": eps, "clip_input": True, "file": f"{name}/n4"} | said | more


def write(folder, *records):
    """Writes the files of some cells; returns their folders."""
    cells = {record["file"]: {} for record in records}
    for record in records:
        shared = {key: value for key, value in record.items() if key not in ("file", "eps", *OF_A_CELL)}
        cells[record["file"]][record["eps"]] = {key: record[key] for key in OF_A_CELL if key in record}
        write_cells(folder / f"{record['file']}.json", shared, cells[record["file"]])
    return sorted({str((folder / file).parent) for file in cells})


def test_the_table_by_hand():
    """Each side counts what it says at other ε, too: a certificate for all smaller ones, a break for all larger."""
    proofs = [proof("0.1", [1, 1, 0, 0]), proof("0.2", [0, 0, 1, 0]), proof("0.1", [1, 0, 0, 0], "cnn-cert-relu")]
    attacks = [attack("0.1", [0, 0, 0, 1]), attack("0.2", [0, 0, 0, 0]), attack("0.2", [1, 0, 0, 0], "auto")]
    assert bracket(proofs, attacks).splitlines() == [
        "demo/m, linf, 4 test points",
        "",
        "| ε | ibp | cnn-cert-relu | **certified** | **not broken** | pgd | auto | undecided |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| 0.1 | 50.0% | 25.0% | 75.0% | 75.0% | 75.0% | – | 0.0% |",
        "| 0.2 | 25.0% | – | 25.0% | 50.0% | 100.0% | 75.0% | 25.0% |",
    ]


@pytest.mark.parametrize(("proved", "broke"), [("0.1", "0.1"), ("0.1", "0.05"), ("8_255", "0.01")])
def test_a_point_both_certified_and_broken_is_named(proved, broke, tmp_path, capsys):
    records = [proof(proved, [0, 0, 1, 1]), attack(broke, [1, 0, 1, 0])]
    told = f"UNSOUND: test point 9 (of 1) is certified at ε = {proved} by ibp"
    with pytest.raises(UserError) as error:
        bracket(records[:1], records[1:])
    assert str(error.value).startswith(told)
    out = tmp_path / "bracket.md"
    (line,) = stopped(capsys, "bracket", *write(tmp_path, *records), "--out", out)
    assert told in line
    assert not out.exists()


def test_a_larger_ball_may_be_broken():
    check_sides([proof("0.1", [1, 1, 1, 1])], [attack("0.11", [1, 1, 1, 1])])


def test_an_attack_outside_the_certificates_set_contradicts_nothing():
    clipped, outside = proof("0.1", [1, 0, 0, 0], clip_input=True), attack("0.1", [1, 0, 0, 0], clip_input=False)
    with pytest.raises(UserError, match=r"left \[0, 1\]"):
        check_sides([clipped], [outside])
    with pytest.raises(UserError, match="UNSOUND"):
        check_sides([proof("0.1", [1, 0, 0, 0])], [outside])
    sparse = {"norm": "l0", "eps": "1"}  # where a cut changes nothing
    with pytest.raises(UserError, match="UNSOUND"):
        check_sides([clipped | sparse], [outside | sparse])


def test_files_and_folders_are_read(tmp_path, capsys):
    folders = write(tmp_path, proof("0.1", [1, 0, 0, 0]), proof("0.2", [0, 0, 0, 0]), attack("0.1", [0, 0, 0, 1]))
    main(["bracket", *folders, "--out", str(tmp_path / "b.md")])
    shown = capsys.readouterr().out
    assert "| 0.1 | 25.0% | 25.0% | 75.0% | 75.0% | 50.0% |" in shown
    assert (tmp_path / "b.md").read_text() == shown
    main(["bracket", str(tmp_path / "ibp/n4.json"), str(tmp_path / "pgd")])
    assert capsys.readouterr().out == shown


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model_sha256": "b"}, "is of another model than"),
        ({"norm": "l2"}, "is of another norm than"),
        ({"indices": [7, 3, 4, 9]}, "is of another points than"),
        ({"attack": None}, "is neither of `dmcore certify` nor of `dmcore attack`"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(change, told, tmp_path):
    broken = attack("0.1", [0, 0, 0, 1]) | change
    folders = write(tmp_path, proof("0.1", [1, 0, 0, 0]), {k: v for k, v in broken.items() if v is not None})
    with pytest.raises(UserError, match=told):
        read_sides(map(type(tmp_path), folders))


def test_one_side_alone_is_no_bracket(tmp_path):
    (folder,) = write(tmp_path, proof("0.1", [1, 0, 0, 0]))
    with pytest.raises(UserError, match="no attacks among the 1 files"):
        read_sides([type(tmp_path)(folder)])
