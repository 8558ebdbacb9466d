"""What a config says is never run: labels, captions, places and variants made to break out of whatever holds them."""

import csv
import io
import os
import re
import shutil

from test_config import ROOT
from tiny import tiny_config

from dmcore.data import load_images

EVIL = (
    "'; touch pwned; '\"; touch pwned; \" $(touch pwned) `touch pwned` && touch pwned | touch pwned > pwned {input} "
    "{wildcards.table} {{ 7 * 7 }} {% raw %} <% x %> <script>alert(1)</script> \\input{/etc/passwd} "
    "\\write18{touch pwned} & % # _ ^ ~ $x$ --out /pwned\n; touch pwned"
)
PLACE = "-a'; touch pwned; \"$(touch pwned)`touch pwned`\n{input} {threads} {{x}} # é"
LATEX = re.compile(r"(?<!\\)\\(input|write18)\{")


def test_nothing_that_a_config_says_is_run(pipeline, tmp_path):
    project = pipeline.with_its_own_code(tmp_path / "project")
    config = tiny_config()
    config["methods"]["dm"]["label"] = config["architectures"]["small"]["label"] = EVIL
    config["datasets"]["mnist"]["label"] = config["reports"]["demo"]["tables"]["table2"]["caption"] = EVIL
    config["reports"]["demo"]["figures"]["figure1"]["caption"] = EVIL
    for source in config["datasets"]["mnist"]["sources"]:
        source["variant"] = EVIL
    place = tmp_path / PLACE
    shutil.copytree(ROOT / "resources/mnist", place / "mnist")
    config["data_places"] = [str(place)]
    project.write(config)

    (project.folder / "data/mnist.safetensors").unlink()
    project.run("data/mnist.safetensors")
    info = load_images(project.folder / "data/mnist.safetensors").info
    assert (info["variant"], info["source"]["place"]) == (EVIL, "folder")  # they arrive as they are

    # From the parameters of `table` and `figure`, and the whole config as that of `tables`.
    made = "results/demo/tables/table2"
    os.utime(project.folder / "data/mnist.safetensors", (1.6e9, 1.6e9))
    project.run("--force", f"{made}.md", "tables")
    assert not list(tmp_path.rglob("pwned*"))
    files = [path for path in (project.folder / "results").rglob("*.*") if path.suffix in (".html", ".md")]
    for path in files:
        assert re.search(r"(?<!\\)<script>alert", path.read_text()) is None, path
    page, latex, markdown, table = (
        (project.folder / f"{made}.{end}").read_text() for end in ("html", "tex", "md", "csv")
    )
    (label,) = {row["label"] for row in csv.DictReader(io.StringIO(table, newline=""))} - {"Normal"}
    assert label == EVIL
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert r"\<script>alert(1)\</script>" in markdown
    assert "{{ 7 * 7 }}" in page
    assert "{{ 7 * 7 }}" in markdown
    assert LATEX.search(latex) is None
    assert r"\textbackslash{}input\{/etc/passwd\}" in latex
