"""The page of the architectures, and what the config says of them, against the code and the paper."""

import csv
import re

import yaml
from test_config import ROOT

from dmcore.nets import build_net
from dmcore.registries import architecture
from doublemargin.pages.architectures import page


def test_the_page_has_a_row_for_every_layer_of_every_network():
    nodes = [node for name in architecture.names() for node in build_net(name, (1, 28, 28), 10).nodes()]
    assert re.findall(r"^\| (\d+) \|", page(), re.M) == [str(node.index) for node in nodes]


def test_labels_and_layers_are_those_of_the_papers_tables():
    config = yaml.safe_load((ROOT / "config.yaml").read_text())["architectures"]
    with (ROOT / "resources/paper/reported.csv").open(newline="") as file:
        panels = {(row["arch"], row["panel"]) for row in csv.DictReader(file)}
    assert {arch for arch, _ in panels} | {"cnn7"} == set(config) == set(architecture.names())
    for arch, panel in panels:
        assert panel.startswith(config[arch]["label"] + " ")
        assert f", {config[arch]['layers']} layer" in panel
