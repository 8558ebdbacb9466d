"""A method's colour, marker and dashes: as it is drawn, in whatever figure it stands."""

import copy
import itertools
import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from test_config import CONFIG

from dmcore.errors import UserError
from doublemargin.experiment.config import check_config
from doublemargin.experiment.exhibits import exhibit_spec
from doublemargin.experiment.grid import Grid
from doublemargin.experiment.looks import BASELINES, COLORS, METHODS, looks_of
from doublemargin.report.figures import curves


def with_figures(**rows):
    """The project's config with figures of these groups of rows alone, one of each name."""
    config = copy.deepcopy(CONFIG)
    panel = config["reports"]["demo"]["figures"]["figure1"]["panels"][0]
    panel["compare"] = []
    figures = {
        name: {"kind": "curves", "caption": "Some.", "panels": [panel | {"rows": groups}]}
        for name, groups in rows.items()
    }
    config["reports"]["demo"]["figures"] = figures
    config["reports"]["paper"]["figures"] = {}
    return config


def looks(config, schedule, name, records):
    """Each method's colour, marker and dashes in a drawn legend, by its label."""
    figure = curves.draw(exhibit_spec(Grid(config, schedule), "figures", name), records)
    (legend,) = [*figure.legends, *(axis.get_legend() for axis in figure.axes if axis.get_legend())]
    lines = zip(legend.legend_handles, legend.texts, strict=True)
    return {
        text.get_text(): (line.get_color(), line.get_marker(), str(line._dash_pattern))
        for line, text in lines
        if isinstance(line, Line2D) and ":" not in text.get_text()  # "ours: …", "paper: …"
    }


AT = {"eps_train": [0.3]}
SIXTEEN = [name for name, method in CONFIG["methods"].items() if not method["baseline"]][:16]


def test_sixteen_methods_and_all_baselines_look_unlike_even_without_colour(nothing):
    baselines = [name for name, method in CONFIG["methods"].items() if method["baseline"]]
    found = looks(with_figures(all=[{"methods": baselines}, {"methods": SIXTEEN, **AT}]), "demo", "all", nothing)
    assert len(found) == len(SIXTEEN) + len(baselines) == 21
    assert len({(marker, dashes) for _, marker, dashes in found.values()}) == 21
    assert len({color for color, *_ in found.values()}) == 16 + 2
    for a, b in itertools.combinations(METHODS, 2):
        if a["marker"] == b["marker"]:
            assert abs(lightness(a["color"]) - lightness(b["color"])) > 0.2
    assert len({(look["marker"], str(look["linestyle"])) for look in METHODS + BASELINES}) == 16 + 6


def lightness(color):
    return float(np.dot(to_rgb(color), (0.299, 0.587, 0.114)))  # as pictures are turned grey


def test_a_method_looks_the_same_in_all_figures(nothing):
    config = with_figures(
        one=[{"methods": ["normal"]}, {"methods": ["ibp", "dm", "adv"], **AT}],
        two=[{"methods": ["dm_l1", "dm"], **AT}, {"methods": ["l1", "normal"]}],
        three=[{"methods": ["mmr", "adv", "ibp"], **AT}],
    )
    found = [looks(config, "demo", name, nothing) for name in ("one", "two", "three")]
    assert [list(labels) for labels in found] == [
        ["Normal", "IBP", "Double Margin", "Adv. Training"],
        ["Double Margin + L1", "Double Margin", "Weight Regularization", "Normal"],
        ["MMR", "Adv. Training", "IBP"],
    ]
    together = {label: {labels[label] for labels in found if label in labels} for label in set().union(*found)}
    assert {len(of_label) for of_label in together.values()} == {1}
    assert found[0]["Double Margin"][0] == COLORS[0]
    assert len(set().union(*together.values())) == 7


def test_a_label_of_a_panels_own_is_in_the_legend(nothing):
    config = with_figures(one=[{"methods": ["dm", "ibp"], **AT}])
    config["reports"]["demo"]["figures"]["one"]["panels"][0]["labels"] = {"ibp": "Double Margin"}
    figure = curves.draw(exhibit_spec(Grid(config, "demo"), "figures", "one"), nothing)
    assert [text.get_text() for text in figure.legends[0].texts] == ["Double Margin"] * 2


@pytest.mark.parametrize("kind", ["methods", "baselines"])
def test_more_methods_than_can_be_told_apart_are_refused(kind):
    looks = {"methods": METHODS, "baselines": BASELINES}[kind]
    config = with_figures(one=[{"methods": (many := [f"m{i}" for i in range(len(looks) + 1)])[:-1]}])
    config["methods"] |= {name: {"label": name, "regularizers": [], "baseline": kind == "baselines"} for name in many}
    check_config(config)
    more = with_figures(two=[{"methods": many[-1:]}])["reports"]["demo"]["figures"]
    elsewhere = copy.deepcopy(config)
    elsewhere["reports"]["paper"]["figures"] = more
    check_config(elsewhere)  # no report shows them all
    config["reports"]["demo"]["figures"] |= more
    says = (
        f"config: reports.demo.figures.two: figures show {len(many)} {kind}, but only {len(looks)} can be told apart: "
        f"take '{many[-1]}' or another out of all figures"
    )
    with pytest.raises(UserError, match=f"^{re.escape(says)}$"):
        check_config(config)


def test_a_method_of_two_reports_looks_like_none_in_either():
    config = with_figures(one=[{"methods": ["normal"]}, {"methods": ["ibp", "dm"], **AT}])
    other = with_figures(two=[{"methods": ["adv", "ibp", "mmr"], **AT}])
    config["reports"]["paper"]["figures"] = other["reports"]["demo"]["figures"]
    config["reports"]["modern"]["figures"] = {}
    places = looks_of(config)
    # The paper's own first; then adv is the first of its report, ibp is beside dm and adv, and mmr beside adv and ibp.
    assert places == {"dm": 0, "adv": 0, "ibp": 1, "mmr": 2, "normal": 0}


def test_a_grid_as_a_line_looks_like_none_of_its_variants():
    variants = [name for name in CONFIG["methods"] if name.startswith("ibp_cut-")]
    config = with_figures(one=[{"methods": variants, **AT}], two=[{"methods": variants, **AT}])
    config["reports"]["demo"]["figures"]["two"]["kind"] = "tradeoff"
    config["reports"]["modern"]["figures"] = {}
    assert looks_of(config) == {variants[0]: 0, "ibp_cut": 1, variants[1]: 2, variants[2]: 3}
