import xml.etree.ElementTree as ET

import pytest
from results_folder import COUNTS, EXHIBIT, write_results

from dmcore.report.figures import write_figure
from dmcore.report.records import collect, read_records


@pytest.fixture
def records(tmp_path):
    write_results(tmp_path, COUNTS)
    return collect(tmp_path, "demo")


def test_a_curve_for_each_method_that_was_run(records, tmp_path):
    write_figure(EXHIBIT, records, tmp_path / "figure1")
    assert (tmp_path / "figure1.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    svg = ET.parse(tmp_path / "figure1.svg")
    text = ET.tostring(svg.getroot(), encoding="unicode")
    comments = (tmp_path / "figure1.svg").read_text()
    for label in ("Normal", "IBP *, ε = 0.3", "Double Margin, ε = 0.3"):
        assert f"<!-- {label} -->" in comments
    assert "<!-- DM + L1" not in comments
    assert "#D55E00" in text or "#d55e00" in text


def test_the_same_records_give_the_same_file(records, tmp_path):
    for name in ("a", "b"):
        write_figure(EXHIBIT, records, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_nothing_run_yet_still_draws(records, tmp_path):
    write_figure(EXHIBIT, read_records(tmp_path), tmp_path / "empty")
    assert (tmp_path / "empty.png").stat().st_size > 0
