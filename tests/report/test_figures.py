"""What the figures draw, against records with known verdicts, the paper's own numbers, and the domains themselves."""

import copy
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
import torch
from results_folder import COUNTS, EXHIBIT, PANEL, REPORTED, write_results
from test_config import CODE, CONFIG, ROOT
from torch import nn

from dmcore.bounds import double_margins, interval_bounds
from dmcore.linear.relaxations import relu_relaxation
from dmcore.registries import certifier
from doublemargin.experiment.exhibits import exhibit_spec
from doublemargin.experiment.grid import Grid
from doublemargin.experiment.looks import COLORS
from doublemargin.records.paper import read_reported
from doublemargin.records.statistics import wilson_interval
from doublemargin.records.tidy import collect
from doublemargin.report.build_table import Lookup
from doublemargin.report.figures import curves, margins, relu_bounds
from doublemargin.report.figures.style import STYLE, WIDTH
from doublemargin.report.make import make_figures

NAN = math.nan
KEY = ("dataset", "arch", "method", "eps_train", "certifier", "norm", "points")


def paper(accuracy, points):
    """A cell as :func:`read_reported` gives it."""
    return SimpleNamespace(accuracy=accuracy, points=points, models=1, seconds=NAN)


def papers_figure(schedule="paper"):
    return exhibit_spec(Grid(CONFIG, schedule), "figures", "figure1") | {"reported": REPORTED}


def drawn(axis):
    """The y data of an axis's curves by their names."""
    return {line.get_label(): [round(float(y), 9) for y in line.get_ydata()] for line in axis.lines}


def text_of(figure):
    return figure.get_supxlabel()


def test_curves_are_the_records_values(records):
    (axis,) = curves.draw(EXHIBIT, records).axes
    lines = {line.get_label(): line for line in axis.lines}
    assert list(lines) == ["Normal", "IBP * at 0.3", "Double Margin at 0.3"]
    np.testing.assert_allclose(lines["Normal"].get_xydata(), [[0, 98.5], [0.05, 9.5], [0.3, 0], [0.4, NAN]])
    np.testing.assert_allclose(lines["IBP * at 0.3"].get_ydata(), [94.5, 89.5, 0, NAN])
    np.testing.assert_allclose(lines["Double Margin at 0.3"].get_ydata(), [88.5, 89.5, 66, NAN])


def test_bands_are_the_records_intervals_and_dots_single_trainings(records):
    figure = curves.draw(EXHIBIT, records)
    (axis,) = figure.axes
    dots = axis.collections[5].get_offsets()  # Double Margin's, after its band
    np.testing.assert_allclose(
        sorted(map(tuple, dots)), [(0, 88), (0, 89), (0.05, 89), (0.05, 90), (0.3, 65.5), (0.3, 66.5)]
    )
    assert [text.get_text() for text in figure.legends[0].texts][-2:] == ["95% Wilson interval", "single trainings"]
    note = text_of(figure).replace("\n", " ")
    assert "the band the mean of their Wilson intervals, which speak of the test points. Small dots: single" in note
    one = replace(records, verdicts=records.verdicts.query("seed == 0"))
    one = replace(one, certified_accuracy=records.certified_accuracy.query("seed == 0"))
    for shown, seeds in ((records, (0, 1)), (one, (0,))):
        alone = curves.draw(EXHIBIT, shown)
        corners = alone.axes[0].collections[4 if seeds == (0, 1) else 2].get_paths()[0].vertices  # Double Margin's
        for eps, certified in ((0, 178), (0.05, 180), (0.3, 133)):
            ends = np.mean([wilson_interval(certified - 2 * seed, 200) for seed in seeds], axis=0)
            at = corners[np.isclose(corners[:, 0], eps)][:, 1]
            np.testing.assert_allclose([at.min(), at.max()], 100 * ends, atol=1e-3)
    assert len(alone.axes[0].collections) == 3
    assert "dots" not in text_of(alone)


def test_what_is_missing_is_said(records):
    note = text_of(curves.draw(EXHIBIT, records))
    assert note.splitlines()[:2] == [
        "Not run: DM + L1 at 0.3.",
        "Not run in full: Normal, IBP * at 0.3, Double Margin at 0.3.",  # ε = 0.4
    ]
    whole = copy.deepcopy(EXHIBIT)
    whole["panels"][0]["eps_cert"].remove("0.4")
    missing, seeds = text_of(curves.draw(whole, records)).split("\n", 1)
    assert missing == "Not run: DM + L1 at 0.3."
    assert seeds.startswith("Several trainings of a method")


def test_the_title_names_points_schedule_and_data(records):
    def title(records):
        return curves.draw(EXHIBIT, records).axes[0].texts[0].get_text().replace("\N{NO-BREAK SPACE}", " ")

    assert title(records) == "Small CNN MNIST, 4 layer, CNN-Cert-ReLU (200 points), schedule demo"
    changed = records.certified_accuracy.assign(variant="re-encoded")
    again = title(replace(records, certified_accuracy=changed)).replace("\n", " ")
    assert again == "Small CNN MNIST, 4 layer, CNN-Cert-ReLU (200 points), schedule demo [data: re-encoded]"


def test_the_papers_curves_are_its_numbers(nothing):
    figure = curves.draw(papers_figure(), nothing)
    reported = read_reported(Path(REPORTED))
    plots = [axis for axis in figure.axes if axis.lines]
    assert [axis.get_title(loc="left").split("= ")[1] for axis in plots] == ["0.1", "0.2", "0.3", "2/255", "8/255"]
    names = {"normal": "Normal", "bounded": "Bounded at {}", "ibp": "IBP at {}", "dm": "Double Margin at {}"}
    for axis, table in zip(plots, ["table8"] * 3 + ["table9"] * 2, strict=True):
        eps = axis.get_title(loc="left").split("= ")[1]
        found = drawn(axis)
        assert set(found) == {f"{name.format(eps)}, paper" for name in names.values()}
        dataset = "mnist" if table == "table8" else "cifar10"
        for method, name in names.items():
            same = reported.query(
                f"table == '{table}' and dataset == '{dataset}' and arch == 'small' and method == '{method}'"
                f" and eps_train == '{'none' if method == 'normal' else eps.replace('/', '_')}'"
            )
            assert len(same) == 9
            assert found[f"{name.format(eps)}, paper"] == [round(100 * a, 9) for a in same["accuracy"]]
    in_255ths = plots[-1]
    np.testing.assert_allclose(in_255ths.lines[0].get_xdata(), [0, 0.5, 1, 2, 3, 5, 7, 8, 9])
    assert in_255ths.get_xlabel().endswith("(1/255)")
    assert text_of(figure).splitlines() == [
        "Nothing has been run yet; the curves are the paper's.",
        "The paper's numbers: its Tables 8 and 9.",
    ]


def test_the_paper_and_we_look_unlike_but_share_colour_and_marker(records):
    exhibit = copy.deepcopy(EXHIBIT) | {"reported": REPORTED}
    (axis,) = curves.draw(exhibit, records).axes
    lines = {line.get_label(): line for line in axis.lines}
    ours, papers = lines["Double Margin at 0.3"], lines["Double Margin at 0.3, paper"]
    # Tables 2, 8 and 14 have these cells; the paper's main table comes first.
    np.testing.assert_allclose(papers.get_ydata(), [90, 88, 66.5, 0])
    assert (ours.get_color(), ours.get_marker()) == (papers.get_color(), papers.get_marker())
    assert papers.get_markerfacecolor() == "white" != ours.get_markerfacecolor()
    assert 1 <= papers.get_linewidth() < ours.get_linewidth()
    looks = {(line.get_marker(), str(line.get_linestyle())) for line in lines.values()}
    assert len(looks) == len({line.get_color() for line in lines.values()}) == 4


@pytest.mark.parametrize(
    ("cells", "chosen"),
    [
        ({"table8": [0.9, 0.5], "table14": [0.8, 0.4]}, "table8"),  # as many: the first
        ({"table8": [0.9], "table14": [0.8, 0.4]}, "table14"),
        ({"table8": [0.9, NAN], "table14": [0.8, 0.4]}, "table14"),  # as many, but one cannot be read
        ({}, ""),
    ],
)
def test_the_papers_curves_are_of_the_table_that_has_most(cells, chosen, nothing):
    place = {key: PANEL[key] for key in ("dataset", "arch", "certifier", "norm", "points")} | {"eps_train": "0.3"}
    reported = {
        (of, *(dict(place, method=method, points=points)[key] for key in KEY), eps): paper(accuracy, points)
        for table, accuracies in cells.items()
        for eps, accuracy in zip(("0", "0.05"), accuracies, strict=False)
        for of, method, points in ((table, "dm", 200), ("table9", "mmr", 200), ("table9", "dm", 20))
    }
    lookup = replace(Lookup.of(nothing, None), reported=reported)
    assert curves.papers_table(PANEL, lookup) == chosen


@pytest.mark.parametrize("neuron", [*margins.NEURONS, margins.Neuron("far", 2.0, 0.5, 0.25)])
def test_margins_are_double_margins_own(neuron):
    """A net whose last neuron gets exactly (z, s, v), s ≥ v; its own weight is 1.

    x = 0, ε = 1. A first neuron at 0 has s = v = ½ behind its ReLU, so with weight 2v it brings v to both margins; a
    second one that is always on brings the s − v that is missing, and no v.
    """
    curved, straight = 2 * neuron.v, neuron.s - neuron.v
    net = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1), nn.ReLU(), nn.Linear(1, 1)).double()
    bias = 10 * straight
    for layer, (w, b) in zip(
        net[::2],
        (([[1.0], [straight]], [0.0, bias]), ([[curved, 1.0]], [neuron.z - bias]), ([[1.0]], [0.0])),
        strict=True,
    ):
        layer.weight.data, layer.bias.data = (torch.tensor(t, dtype=torch.float64) for t in (w, b))
    net.requires_grad_(False)
    x = torch.zeros(1, 1, dtype=torch.float64)
    before = double_margins(net[:3], x, 1.0)
    assert [float(t) for t in before] == pytest.approx([neuron.z, neuron.s, neuron.v])
    after = margins.relu_margins(neuron.z, neuron.s, neuron.v)
    assert [float(t) for t in double_margins(net, x, 1.0)] == pytest.approx(
        [after.value, after.s, after.v_range + after.v_curve]
    )


def test_the_picture_of_margins_stacks_them_on_the_output():
    for axis, n in zip(margins.draw().axes, margins.NEURONS, strict=True):
        out = margins.relu_margins(n.z, n.s, n.v)
        ticks = {round(float(line.get_ydata()[0]), 9) for line in axis.lines if line.get_label() == "_margin"}
        ends = [out.value + side * d for side in (-1, 1) for d in np.cumsum([out.s, out.v_range, out.v_curve])]
        assert ticks == {round(end, 9) for end in ends}
        (chord,) = [line for line in axis.lines if line.get_label() == "chord"]
        assert np.interp(n.z, *chord.get_data()) - out.value == pytest.approx(out.v_curve)


@pytest.mark.parametrize("bounds", [*relu_bounds.CASES.values(), (-1.0, 1.0), (-0.25, 3.0)])
@pytest.mark.parametrize("name", relu_bounds.CERTIFIERS)
def test_lines_are_the_certifiers_own(name, bounds):
    below, above = relu_bounds.bounds(name, *bounds)
    lower, upper = (torch.tensor([[end]], dtype=torch.float64) for end in bounds)
    if name == "ibp":
        # What IBP makes of a ReLU: the box of its outputs.
        net = nn.Sequential(nn.Linear(1, 1), nn.ReLU()).double().requires_grad_(False)
        net[0].weight.data.fill_(1)
        net[0].bias.data.fill_(0)
        middle, eps = (lower + upper) / 2, (bounds[1] - bounds[0]) / 2
        low, high = interval_bounds(net, middle, eps, input_range=(-9, 9))
        expected = [0, float(low), 0, float(high)]
    else:
        real = relu_relaxation(lower, upper, certifier.get(name).slope)
        intercept = 0 if real.lower_intercept is None else float(real.lower_intercept)
        expected = [float(real.lower_slope), intercept, float(real.upper_slope), float(real.upper_intercept)]
    assert [*below, *above] == pytest.approx(expected)


def test_the_picture_of_bounds_draws_these_lines():
    figure = relu_bounds.draw()
    axes = iter(figure.axes)
    for ends in relu_bounds.CASES.values():
        for name in relu_bounds.CERTIFIERS:
            lines = {line.get_label(): line for line in next(axes).lines}
            for kind, bound in zip(("lower", "upper"), relu_bounds.bounds(name, *ends), strict=True):
                shown = lines[f"{kind} bound"]
                np.testing.assert_allclose(shown.get_xdata(), ends)
                np.testing.assert_allclose(shown.get_ydata(), np.polyval(bound, ends))
                assert shown.get_color() == {"upper": COLORS[0], "lower": COLORS[1]}[kind]  # blue, orange


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    write_results(folder, COUNTS)
    return folder


@pytest.fixture(scope="module")
def written(results):
    """The paper's three figures, and one of results: files by name."""
    grid = Grid(CONFIG, "paper")
    figures = {name: exhibit_spec(grid, "figures", name) for name in grid.report["figures"]}
    figures = {name: figure | {"reported": REPORTED} for name, figure in figures.items()}
    make_figures(figures | {"table2": EXHIBIT | {"kind": "curves"}}, collect(results, "demo"), results / "out")
    return {path.name: path.read_bytes() for path in (results / "out/figures").iterdir()}


@pytest.mark.slow
def test_files_are_what_they_say_and_undated(written):
    names = ("figure1", "figure2", "figure3", "supplement1", "table2")
    assert set(written) == {f"{name}.{kind}" for name in names for kind in ("png", "svg", "pdf")}
    for name, content in written.items():
        start = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml", "pdf": b"%PDF"}[name[-3:]]
        assert content.startswith(start)
        for date in (b"CreationDate", b"ModDate", b"<dc:date>"):
            assert date not in content, name
        if name.endswith(".pdf"):
            (width,) = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ", content)
            assert float(width) == pytest.approx(WIDTH * 72)
    assert min(STYLE[key] for key in STYLE if key.endswith("size")) == 8


SCRIPT = """
import sys
from pathlib import Path
from doublemargin.report.figures import curves, margins, relu_bounds
from doublemargin.records.tidy import collect
from results_folder import EXHIBIT
assert "torch" not in sys.modules
curves.write(EXHIBIT, collect(Path(sys.argv[1]), "demo"), Path(sys.argv[2]) / "table2")
margins.write({}, None, Path(sys.argv[2]) / "figure2")
relu_bounds.write({}, None, Path(sys.argv[2]) / "figure3")
assert "torch" not in sys.modules
"""


def test_another_day_another_process_and_other_settings_give_the_same_bytes(written, results, tmp_path):
    (tmp_path / "matplotlibrc").write_text("font.size: 20\naxes.facecolor: yellow\n")
    other = {"MPLCONFIGDIR": str(tmp_path), "PYTHONHASHSEED": "7", "SOURCE_DATE_EPOCH": "86400"}
    other |= {"PYTHONPATH": os.pathsep.join([CODE, str(ROOT / "tests/report")])}
    command = [sys.executable, "-c", SCRIPT, str(results), str(tmp_path / "again")]
    done = subprocess.run(command, check=True, env=os.environ | other, cwd=tmp_path, capture_output=True, text=True)
    slow = "Matplotlib is building the font cache; this may take a moment."  # said where it takes more than 5 s
    assert done.stderr.replace(f"{slow}\n", "") == ""
    assert len(list((tmp_path / "again").iterdir())) == 9
    for path in (tmp_path / "again").iterdir():
        assert path.read_bytes() == written[path.name], path.name
    assert mpl.rcParams["font.size"] == mpl.rcParamsDefault["font.size"]  # the user's own settings stay
