"""From result files to tidy records, and records of several runs together."""

import gzip
import json
from dataclasses import fields, replace

import pytest
from results_folder import COUNTS, EXHIBIT, same, spec_hash, write_attack, write_results

from dmcore.errors import UserError
from doublemargin.cli import main
from doublemargin.files import write_json
from doublemargin.records.columns import FILES, MODEL
from doublemargin.records.statistics import wilson_interval
from doublemargin.records.sums import write_sums
from doublemargin.records.tidy import Records, collect, merge, read_records, write_records
from doublemargin.report.build_table import Lookup, build_table

CELLS = "demo/mnist/small/dm/0.3/seed0/certify/cnn-cert-relu/linf/n200.json"


@pytest.fixture
def results(tmp_path):
    write_results(tmp_path, COUNTS)
    return tmp_path


def change(path, **values):
    write_json(path, json.loads(path.read_text()) | values)


def test_a_line_a_model_and_a_line_a_cell(results):
    records = collect(results, "demo")
    assert (len(records.training), len(records.certified_accuracy), len(records.verdicts)) == (6, 18, 18)
    cell = records.certified_accuracy.query("method == 'dm' and eps_cert == '0.3' and seed == 0").iloc[0]
    assert (cell["certified"], cell["points"], cell["accuracy"]) == (133, 200, 0.665)
    assert (round(cell["wilson_low"], 4), round(cell["wilson_high"], 4)) == (0.597, 0.7268)
    assert list(records.certified_accuracy["eps_cert"][:3]) == ["0", "0.05", "0.3"]
    assert set(records.training["eps_train"]) == {"none", "0.3"}
    assert set(records.training["steps"]) == {900}
    verdicts = records.verdicts.query("method == 'dm' and eps_cert == '0.3' and seed == 0").iloc[0]
    assert verdicts["verdicts"] == "1" * 133 + "0" * 67
    assert records.points["indices"].tolist() == [" ".join(map(str, range(200)))]


def test_a_line_an_attack(results):
    write_attack(results, "demo/mnist/small/dm/0.3/seed0", {"0.3": 140, "0.05": 190})
    records = collect(results, "demo")
    assert len(records.certified_accuracy) == 18
    assert records.robust_accuracy[["eps_cert", "not_broken", "accuracy"]].values.tolist() == [
        ["0.05", 190, 0.95],
        ["0.3", 140, 0.7],
    ]
    line = records.robust_accuracy.iloc[1]
    assert (line["attack"], line["seconds"], line["verdicts"]) == ("pgd", 2.5, "1" * 140 + "0" * 60)
    assert (line["wilson_low"], line["wilson_high"]) == tuple(round(bound, 6) for bound in wilson_interval(140, 200))
    write_records(records, results / "demo")
    assert same(read_records(results / "demo"), records)
    write_attack(results, "demo/mnist/small/dm/0.3/seed0", {"0.3": 140}, indices=list(range(1, 201)))
    with pytest.raises(UserError, match="is of other points than the cells before it"):
        collect(results, "demo")


@pytest.mark.parametrize(
    ("cpu", "timing"), [(99.0, "undisturbed"), (95.0, "undisturbed"), (94.0, "disturbed"), (None, "unknown")]
)
def test_whether_others_took_part_of_the_processor(results, cpu, timing):
    path = results / "demo/mnist/small/dm/0.3/seed0/training.json"
    record = json.loads(path.read_text()) | {"seconds": 100.0, "cpu_seconds": cpu}
    write_json(path, {key: value for key, value in record.items() if value is not None})
    assert collect(results, "demo").training.query("method == 'dm' and seed == 0")["timing"].item() == timing


def test_what_was_written_is_read(results):
    records = collect(results, "demo")
    write_records(records, results / "demo")
    assert same(read_records(results / "demo"), records)
    assert records.training["device"].tolist() == ["CPU (test)"] * 6


def test_the_same_records_give_the_same_bytes_and_are_not_written_again(results):
    records = collect(results, "demo")
    write_records(records, results / "a")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (results / "a").iterdir()}
    write_records(read_records(results / "a"), results / "a")
    write_records(records, results / "b")
    for path, (content, time) in before.items():
        assert (results / "b" / path.name).read_bytes() == content
        assert path.stat().st_mtime_ns == time


def test_an_id_that_looks_like_a_number_stays_text(results):
    for path in (results / "demo").rglob("*.json"):
        change(path, spec_hash="1234567890123456", model_sha256="1e10" * 16)
    write_records(collect(results, "demo"), results / "demo")
    read = read_records(results / "demo").certified_accuracy
    assert set(read["spec_hash"]) == {"1234567890123456"}
    assert set(read["model_sha256"]) == {"1e10" * 4}


def test_other_runs_records_stay_beside_new_ones(results, tmp_path_factory):
    everything = collect(results, "demo")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    write_results(elsewhere, {key: cells for key, cells in COUNTS.items() if key[0] == "dm"})
    assert same(merge(everything, collect(elsewhere, "demo")), everything)
    assert same(merge(collect(elsewhere, "demo"), everything), everything)
    assert same(merge(read_records(elsewhere / "none"), everything), everything)
    assert same(merge(everything, read_records(elsewhere / "none")), everything)


def test_new_results_replace_those_of_the_same_cell(results):
    before = collect(results, "demo")
    cells = json.loads((results / CELLS).read_text())["cells"]
    cells["0.3"]["certified"] = [True] * 150 + [False] * 50
    change(results / CELLS, cells=cells)
    after = merge(before, collect(results, "demo"))
    assert len(after.certified_accuracy) == 18
    assert (
        after.certified_accuracy.query("method == 'dm' and eps_cert == '0.3' and seed == 0")["certified"].item() == 150
    )
    assert (
        after.verdicts.query("method == 'dm' and eps_cert == '0.3' and seed == 0")["verdicts"].item().count("1") == 150
    )


def test_cells_of_a_model_with_new_weights_go(results):
    before = collect(results, "demo")
    model = results / "demo/mnist/small/dm/0.3/seed0"
    for cell in (model / "certify").rglob("*.json"):
        cell.unlink()
    change(model / "training.json", model_sha256="n" * 64)
    after = merge(before, collect(results, "demo"))
    assert len(after.training) == 6
    gone = "method == 'dm' and seed == 0"
    assert len(after.certified_accuracy) == len(after.verdicts) == 15
    assert after.certified_accuracy.query(gone).empty
    assert after.training.query(gone)["model_sha256"].item() == "n" * 16


def test_only_the_models_asked_for_are_read(results):
    some = collect(results, "demo", {spec_hash("dm", "0.3", 0), spec_hash("ibp", "0.3", 1)})
    assert sorted(zip(some.training["method"], some.training["seed"], strict=True)) == [("dm", 0), ("ibp", 1)]
    assert len(some.certified_accuracy) == 6


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"model": "demo/mnist/small/ibp/0.3/seed0"}, "not a record of demo/mnist/small/dm/0.3/seed0"),
        ({"indices": list(range(1, 201))}, "of other points than the cells before it"),
    ],
)
def test_a_record_of_another_model_or_of_other_points_is_refused(results, changed, says):
    change(results / CELLS, **changed)
    with pytest.raises(UserError, match=f"n200.json is {says}"):
        collect(results, "demo")


def test_cells_of_weights_that_are_gone_are_left_out(results, capsys):
    change(results / CELLS, model_sha256="older")
    assert len(collect(results, "demo").certified_accuracy) == 15
    assert "n200.json: left out" in capsys.readouterr().err


def test_files_with_one_cell_are_of_an_older_version(results, capsys):
    write_json(results / CELLS.replace(".json", "/0.3.json"), {"eps": "0.3"})
    assert len(collect(results, "demo").certified_accuracy) == 18
    assert "linf/n200/ and the like: an older version's files, one per ε, are not read" in capsys.readouterr().err


def test_records_with_other_columns_are_named(results):
    write_records(collect(results, "demo"), results)
    path = results / "verdicts.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    write_sums(results, {file: (results / file).read_bytes() for file in FILES.values()})
    with pytest.raises(UserError, match=r"verdicts\.csv\.gz has other columns"):
        read_records(results)


def test_records_made_before_a_change_of_the_config_are_not_shown(results):
    records = collect(results, "demo")
    other = replace(records, certified_accuracy=records.certified_accuracy.assign(spec_hash="older"))
    assert {cell.ours for cell in build_table(EXHIBIT, Lookup.of(other, None)).cells} == {None}
    for option in ("clip_input", "intersect_ibp"):
        otherwise = replace(records, certified_accuracy=records.certified_accuracy.assign(**{option: "True"}))
        assert {cell.ours for cell in build_table(EXHIBIT, Lookup.of(otherwise, None)).cells} == {None}


def test_what_was_made_before_an_option_was_there_counts_as_made_without_it(results):
    """Result files without the key, and records without the column, read as those of today do."""
    records = collect(results, "demo")
    for path in results.glob("**/certify/**/*.json"):
        cell = json.loads(path.read_text())
        assert cell.pop("intersect_ibp") is False
        write_json(path, cell)
    assert same(collect(results, "demo"), records)
    older = {name: getattr(records, name) for name in records.__dataclass_fields__}
    for name in ("certified_accuracy", "verdicts"):
        older[name] = older[name].drop(columns="intersect_ibp")
    write_records(Records(**older), results)
    assert b"intersect_ibp" not in (results / "certified_accuracy.csv").read_bytes()
    assert same(read_records(results), records)


def test_cells_with_and_without_intersection_are_two(results):
    plain = collect(results, "demo")
    change(results / CELLS, intersect_ibp=True)
    both = merge(plain, collect(results, "demo"))
    assert len(both.certified_accuracy) == len(plain.certified_accuracy) + 3


def test_a_table_says_that_bounds_were_intersected(results):
    words = "not cut to [0, 1], no linear bound outside the interval bounds"
    records = collect(results, "demo")
    assert words not in build_table(EXHIBIT, Lookup.of(records, None)).notes[0]
    for path in results.glob("**/certify/**/*.json"):
        change(path, intersect_ibp=True)
    panels = [panel | {"intersect_ibp": True} for panel in EXHIBIT["panels"]]
    table = build_table(EXHIBIT | {"panels": panels}, Lookup.of(collect(results, "demo"), None))
    assert words in table.notes[0]
    assert table.panels[0].rows[0].cells[0].ours.value == 197 / 200  # of two seeds: 198 and 196


def test_records_of_several_runs_are_merged(results, tmp_path):
    main(["collect", "--results", str(results), "--schedule", "demo", "--out", str(tmp_path / "all")])
    whole = read_records(tmp_path / "all")
    half = len(whole.training) // 2
    for name, models in (("first", whole.training.iloc[:half]), ("second", whole.training.iloc[half:])):
        chosen = {
            f.name: getattr(whole, f.name).merge(models[MODEL]) if "method" in getattr(whole, f.name) else whole.points
            for f in fields(Records)
        }
        write_records(Records(**chosen), tmp_path / name)
    main(["merge", str(tmp_path / "first"), str(tmp_path / "second"), "--out", str(tmp_path / "merged")])
    assert same(read_records(tmp_path / "merged"), whole)
    main(["merge", str(tmp_path / "second"), "--out", str(tmp_path / "first")])  # what is there stays
    assert same(read_records(tmp_path / "first"), whole)


def test_records_of_several_schedules_are_not_merged(results, tmp_path, capsys):
    of_demo = collect(results, "demo")
    write_records(of_demo, tmp_path / "one")
    frames = {f.name: getattr(of_demo, f.name) for f in fields(Records)}
    other = {name: frame.assign(schedule="short") if "schedule" in frame else frame for name, frame in frames.items()}
    write_records(Records(**other), tmp_path / "other")
    with pytest.raises(SystemExit):
        main(["merge", str(tmp_path / "one"), str(tmp_path / "other"), "--out", str(tmp_path / "both")])
    assert "records of several schedules are kept apart: here are demo and short" in capsys.readouterr().err
    assert not (tmp_path / "both").exists()
