"""Real Snakemake runs of a tiny grid: what is made, what is made again, and what is refused."""

import json
import re
import shutil

import pytest
from pandas import read_csv
from test_config import ROOT
from tiny import Pipeline, tiny_config

from dmcore.data import load_images
from doublemargin.records.columns import FILES, SUMS
from doublemargin.records.sums import write_sums

REPORT = ("table", "figure", "pages")


@pytest.mark.smoke
def test_everything_is_made(pipeline):
    table = (pipeline.folder / "results/demo/tables/table2.md").read_text()
    assert re.search(r"Double Margin +\| ε = 0\.1 +\|", table)
    assert table.count("CNN-Cert-ReLU") == 1
    assert "At ε = 0.05, Double Margin" in table
    for suffix in (".png", ".svg", ".pdf"):
        assert (pipeline.folder / f"results/demo/figures/figure1{suffix}").stat().st_size > 1000
    assert (
        "Ours beside the paper's: Table 2. Tiny."
        in (pipeline.folder / "results/demo/comparisons/table2.md").read_text()
    )
    assert "24 claims: 0 reproduced" in (pipeline.folder / "results/demo/verdict.md").read_text()
    assert (pipeline.folder / "results/demo/mnist/small/dm/0.1/seed0/history.png").stat().st_size > 1000
    record = pipeline.result("dm/0.1/seed0/training.json")
    assert record["spec"]["training"]["steps"] == 12
    certified = pipeline.result("dm/0.1/seed0/certify/cnn-cert-relu/linf/n4.json")
    assert certified["model_sha256"] == record["model_sha256"]
    assert certified["cells"].keys() == {"0", "0.05"}
    assert len(certified["cells"]["0.05"]["certified"]) == len(certified["indices"]) == 4
    assert certified["indices"] == pipeline.result("normal/none/seed0/certify/ibp/linf/n4.json")["indices"]


def test_a_second_run_does_nothing(pipeline):
    assert pipeline.planned("demo") == {}
    for target in ("demo", "certified"):
        assert "Nothing to be done" in pipeline.run(target)


def test_attacks_and_radii_are_made_where_they_are_asked_for(pipeline):
    model = "results/demo/mnist/small/dm/0.1/seed0"
    targets = [f"{model}/attack/pgd/linf/n4.json", f"{model}/radius/ibp/l2/n4.json"]
    assert pipeline.planned(*targets) == {"attack": 1, "radius": 1}
    pipeline.run(*targets)
    attack, radii = (pipeline.result(target.removeprefix("results/demo/mnist/small/")) for target in targets)
    certified = pipeline.result("dm/0.1/seed0/certify/ibp/linf/n4.json")
    assert certified["indices"] == attack["indices"] == radii["indices"]
    assert certified["model_sha256"] == attack["model_sha256"] == radii["model_sha256"]
    assert certified["cells"].keys() == attack["cells"].keys() == {"0", "0.05"}
    assert (radii["norm"], len(radii["radii"])) == ("l2", 4)
    assert pipeline.planned("demo") == {}


def test_one_methods_setting_reruns_its_cells_only(pipeline):
    config = tiny_config()
    config["methods"]["dm"]["regularizers"][0]["weight"] = 0.4
    pipeline.write(config)
    try:
        expected = {"train": 1, "certify": 2, **dict.fromkeys(("history", "collect", *REPORT), 1)}
        assert pipeline.planned("demo") == expected
        assert "method=normal" not in pipeline.run("-n", "demo")
    finally:
        pipeline.write(tiny_config())


def test_an_eps_is_added_to_the_files_that_are_there(pipeline, tmp_path):
    project = pipeline.with_its_own_code(tmp_path / "project")
    before = project.result("dm/0.1/seed0/certify/ibp/linf/n4.json")["cells"]
    config = tiny_config()
    for panel in config["reports"]["demo"]["tables"]["table2"]["panels"]:
        panel["eps_cert"] = [0, 0.02, 0.05]
    project.write(config)
    assert project.planned("demo") == {"certify": 4, **dict.fromkeys(("collect", *REPORT), 1)}
    project.run("results/demo/mnist/small/dm/0.1/seed0/certify/ibp/linf/n4.json")
    after = project.result("dm/0.1/seed0/certify/ibp/linf/n4.json")["cells"]
    assert list(after) == ["0", "0.02", "0.05"]
    assert {eps: after[eps] for eps in before} == before  # their seconds, too


def test_tables_come_from_the_records_alone(pipeline, tmp_path):
    clone = Pipeline(tmp_path / "clone")
    records = clone.folder / "results/demo"
    records.mkdir(parents=True)
    for file in (*FILES.values(), SUMS):
        shutil.copy(pipeline.folder / "results/demo" / file, records)
    assert clone.planned("tables") == {"tables": 1}
    clone.run("tables")
    made = (records / "tables/table2.md").read_text()
    assert made == (pipeline.folder / "results/demo/tables/table2.md").read_text()
    for file in ("verdict.csv", "comparisons/table2.csv"):
        assert (records / file).read_text() == (pipeline.folder / "results/demo" / file).read_text()
    assert (records / "figures/figure1.png").exists()
    assert '<section id="demo-tables-table2">' in (clone.folder / "results/report.html").read_text()
    assert not (records / "mnist").exists()


def test_records_of_other_runs_stay(pipeline, tmp_path):
    """Those of models that have no result files here, which no rerun could make again."""
    project = pipeline.with_its_own_code(tmp_path / "project")
    path = project.folder / "results/demo/training.csv"
    theirs = read_csv(path, dtype=str).assign(seed="7")
    theirs.to_csv(path, index=False, lineterminator="\n")
    write_sums(path.parent, {file: (path.parent / file).read_bytes() for file in FILES.values()})
    project.run("results/demo/training.csv", "--force")
    after = read_csv(path, dtype=str)
    assert len(after) == 2 * len(theirs)
    assert after[after["seed"] == "7"].reset_index(drop=True).equals(theirs)


def test_a_failed_job_says_why_and_keeps_the_rest(tmp_path):
    broken = Pipeline(tmp_path / "broken")
    shutil.copytree(ROOT / "resources/mnist", broken.folder / "resources/mnist")
    path = broken.folder / "resources/mnist/train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:1000])
    output = broken.run("data/mnist.safetensors", ok=False)
    assert "dmcore: error: data set 'mnist': no source works; tried: data/sources/mnist has no " in output
    assert "; resources/mnist/train-labels-idx1-ubyte.gz is damaged" in output
    assert "; to restore the repository's own: git -C resources stash push -- mnist" in output
    assert not (broken.folder / "data/mnist.safetensors").exists()
    place = tmp_path / "with a space"
    shutil.copytree(ROOT / "resources/mnist", place / "mnist")
    places = ["--config", f'data_places=["{tmp_path}/none", "{place}"]']
    broken.run("data/mnist.safetensors", *places)
    assert load_images(broken.folder / "data/mnist.safetensors").info["source"]["place"] == "folder"
    assert "Nothing to be done" in broken.run("data/mnist.safetensors")  # where data lie is no reason to make anew


def test_trainings_go_first_unless_dmcore_next_gives_an_order(pipeline, tmp_path, monkeypatch):
    def priorities():
        shown = pipeline.run("-n", "-F", "certified")
        blocks = re.findall(r"^rule (?:train|certify):\n((?: .*\n)+)", shown, re.M)
        paths = [re.search(r"output: results/([^\s,]+)", block)[1] for block in blocks]
        shown = [re.search(r"priority: (\d+)", block) for block in blocks]  # 0 is not shown
        return {path: int(found[1]) if found else 0 for path, found in zip(paths, shown, strict=True)}

    model, cell = (f"demo/mnist/small/dm/0.1/seed0{end}" for end in ("", "/certify/ibp/linf/n4"))
    found = priorities()
    assert len(found) == 2 + 4
    assert (found[f"{model}/model.safetensors"], found[f"{cell}.json"]) == (10, 0)
    (tmp_path / "order").write_text(json.dumps({model: 3, cell: 5}))
    monkeypatch.setenv("DMCORE_ORDER", str(tmp_path / "order"))
    found = priorities()
    assert (found[f"{model}/model.safetensors"], found[f"{cell}.json"]) == (3, 5)


@pytest.mark.smoke
def test_all_is_the_papers_grid(pipeline):
    config = tiny_config()
    config["schedule"] = "paper"
    pipeline.write(config)
    try:
        jobs = pipeline.planned()
    finally:
        pipeline.write(tiny_config())
    # Two more seeds of two models, for Table 5; and Supplement 1 with two models of its own.
    assert (jobs["train"], jobs["table"], jobs["figure"], jobs["pages"]) == (130 + 2 * 2 + 2, 16 + 1, 3 + 1, 1)


def test_the_profile_says_where_jobs_compute(pipeline):
    target = "results/demo/mnist/small/dm/0.1/seed0/certify/ibp/linf/n4.json"
    shown = pipeline.run("-n", "-p", "-F", "--default-resources", "device=cpu", "gpu_slots=3", "--", target)
    assert re.findall(r"--threads 1 (--device \w+ --gpu-slots \d)", shown) == ["--device cpu --gpu-slots 3"] * 2
