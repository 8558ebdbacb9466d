"""What dmcore never does, read from its source; and configs and archives that are made to do harm."""

import ast
import json
import re
import time

import pytest
import yaml
from flips import named
from test_config import CONFIG, ROOT

from doublemargin.cli import main
from doublemargin.experiment.config import LARGEST, check_config, load_config

SOURCES = sorted(path for package in ("dmcore", "workflow/doublemargin") for path in (ROOT / package).rglob("*.py"))
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
UNPACKERS = {"extract", "extractall", "unpack_archive"}
FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput", "torch.load",
    "torch.jit.load", "torch.save", "pd.read_pickle", "pandas.read_pickle", "yaml.load", "yaml.unsafe_load",
    "yaml.full_load", "np.fromfile", "tempfile.mktemp",
}  # fmt: skip
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)


def harms(code):
    """What of some code could run what a file or a config says."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found += [module for module in modules if module.partition(".")[0] in UNPICKLERS]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if name in FORBIDDEN or name.rpartition(".")[2] in UNPACKERS or options.get("shell", "False") != "False":
            found.append(name)
        if name in ("np.load", "numpy.load") and options.get("allow_pickle") != "False":
            found.append(name)
        if name.endswith("onnx.load") and options.get("load_external_data") != "False":
            found.append(name)
        if name.endswith("from_string") or (name.endswith("Environment") and not {"autoescape", None} & options.keys()):
            found.append(name)
    return found


def test_the_source_unpickles_evaluates_and_extracts_nothing():
    assert {path: found for path in SOURCES if (found := harms(path.read_text(encoding="utf-8")))} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from joblib import load", "torch.load(path)", "np.load(p)", "np.load(p, allow_pickle=True)",
        "archive.extractall(folder)", "eval(text)", "subprocess.run(text, shell=True)", "yaml.load(text, yaml.Loader)",
        "pd.read_pickle(path)", "os.system(text)", "onnx.load(path)", "jinja2.Environment()",
    ],
)  # fmt: skip
def test_what_it_never_does_would_be_seen(code):
    assert harms(code) != []


@pytest.mark.parametrize("path", sorted((ROOT / "workflow/rules").glob("*.smk")), ids=lambda path: path.name)
def test_rules_quote_what_a_config_says(path):
    """In a shell command all is quoted but wildcards, held to names of the config, and what the rules make."""
    safe = {"threads", "params.places", "params.where", "params.seed", "params.clip", "params.intersect", "params.eps"}
    safe |= {"params.dmcore"}
    commands = re.findall(r"shell:\n((?: +[\"'].*[\"']\n)+)", path.read_text())
    used = {part for command in commands for part in re.findall(r"\{([^{}]+)\}", command)}
    assert {part for part in used if not part.endswith(":q") and not part.startswith("wildcards.")} <= safe


def refused(tmp_path, text, *told):
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    started = time.perf_counter()
    with named(*told):
        load_config(path)
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch {}']",
        "!!python/name:os.system",
    ],
)
def test_yaml_that_names_python_objects_is_refused(tmp_path, value):
    refused(tmp_path, f"seeds: {value.format(tmp_path / 'ran')}", "could not determine a constructor")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("key", ["more", "schedule", "seeds", "reports"])
def test_a_billion_aliases_are_refused_at_once(tmp_path, key):
    refused(tmp_path, f"{BOMB}{key}: *a9\n", f"more than {LARGEST} entries when all aliases (*name) are written out")


def test_an_alias_of_itself_is_refused(tmp_path):
    refused(tmp_path, "seeds: &a [*a]", "entries when all aliases")
    refused(tmp_path, "seeds: &a {b: *a}", "entries when all aliases")


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " + "{b: " * 50_000])
def test_yaml_nested_too_deeply_is_one_line(tmp_path, text):
    refused(tmp_path, text, "cannot read")


def test_bytes_that_are_no_text_are_one_line(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"seeds: \xff\xfe")
    with named("cannot read", tmp_path / "c.yaml"):
        load_config(tmp_path / "c.yaml")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["datasets", "methods", "schedules", "reports"])
@pytest.mark.parametrize("name", ["a\n", "a;touch pwned", "../a", "{input}"])
def test_names_are_nothing_but_names(kind, name):
    """They become parts of paths, patterns and commands."""
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    config[kind][name] = next(iter(config[kind].values()))
    with named("config: "):
        check_config(config)


@pytest.mark.parametrize("name", ["../../etc/passwd", ".hidden", "a;b.npz", "a\n"])
def test_names_of_source_files_stay_in_their_folder(name):
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    config["datasets"]["mnist"]["sources"][0]["files"] = {name: {}}
    with named("config: "):
        check_config(config)


@pytest.mark.parametrize("url", ["file:///etc/", "/etc", "http:/a"])
def test_downloads_are_by_http(url):
    config = yaml.safe_load(yaml.safe_dump(CONFIG))
    config["datasets"]["mnist"]["sources"][0]["urls"] = [url]
    with named("config: datasets.mnist.sources[0].urls[0]"):
        check_config(config)


def test_json_nested_too_deeply_on_the_command_line_is_one_line(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["data", "mnist", "--out", "x", "--spec", '{"a": ' + "[" * 100_000])
    assert stop.value.code == 2
    assert "not JSON (maximum recursion depth exceeded" in capsys.readouterr().err.splitlines()[-1]
    with pytest.raises(RecursionError):
        json.loads("[" * 100_000)  # it is
