"""Configs and archives that are made to do harm; ruff sees to it that the source unpickles and evaluates nothing."""

import re

import pytest
import yaml
from flips import named, stopped
from test_config import CONFIG, ROOT

from doublemargin.experiment.config import LARGEST, check_config, load_config

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)


@pytest.mark.parametrize("path", sorted((ROOT / "workflow/rules").glob("*.smk")), ids=lambda path: path.name)
def test_rules_quote_what_a_config_says(path):
    """In a shell command all is quoted but wildcards, held to names of the config, and what the rules make."""
    safe = {
        "threads",
        "params.places",
        "params.where",
        "params.points",
        "params.clip",
        "params.intersect",
        "params.eps",
    }
    safe |= {"params.dmcore"}
    commands = re.findall(r"shell:\n((?: +[\"'].*[\"']\n)+)", path.read_text())
    used = {part for command in commands for part in re.findall(r"\{([^{}]+)\}", command)}
    assert {part for part in used if not part.endswith(":q") and not part.startswith("wildcards.")} <= safe


def refused(tmp_path, text, *told):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with named(*told):
        load_config(path)


@pytest.mark.parametrize("key", ["more", "reports"])
def test_a_billion_aliases_are_refused_at_once(tmp_path, key):
    refused(tmp_path, f"{BOMB}{key}: *a9\n", f"more than {LARGEST} entries when all aliases (*name) are written out")


def test_an_alias_of_itself_is_refused(tmp_path):
    refused(tmp_path, "seeds: &a [*a]", "entries when all aliases")
    refused(tmp_path, "seeds: &a {b: *a}", "entries when all aliases")


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " + "{b: " * 50_000])
def test_yaml_nested_too_deeply_is_one_line(tmp_path, text):
    refused(tmp_path, text, "cannot read")


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("datasets", "../a"),
        ("methods", "a;touch pwned"),
        ("schedules", "{input}"),
        ("reports", "a\n"),
        ("datasets.mnist.sources.0.files", "../../etc/passwd"),
        ("datasets.mnist.sources.0.files", ".hidden"),
    ],
)
def test_names_are_nothing_but_names(place, name):
    """They become parts of paths, patterns and commands."""
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    part = config
    for key in place.split("."):
        part = part[int(key) if key.isdigit() else key]
    part[name] = next(iter(part.values()))
    with named("config: "):
        check_config(config)


@pytest.mark.parametrize("url", ["file:///etc/", "http:/a"])
def test_downloads_are_by_http(url):
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    config["datasets"]["mnist"]["sources"][0]["urls"] = [url]
    with named("config: datasets.mnist.sources[0].urls[0]"):
        check_config(config)


def test_json_nested_too_deeply_on_the_command_line_is_one_line(capsys):
    (line,) = stopped(capsys, "data", "mnist", "--out", "x", "--spec", '{"a": ' + "[" * 100_000)
    assert "not JSON (maximum recursion depth exceeded" in line
