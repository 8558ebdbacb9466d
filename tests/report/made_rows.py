"""Rows of tables with known verdicts and times, made by hand."""

from doublemargin.records.statistics import Share
from doublemargin.report.tables import Cell, Row, Timing

POINTS = 200


def verdicts(only_first, only_second, both=0, n=POINTS):
    """Two strings that differ on as many points as said."""
    rest = "0" * (n - only_first - only_second - both)
    first = "1" * only_first + "0" * only_second + "1" * both + rest
    return first, "0" * only_first + "1" * only_second + "1" * both + rest


def cell(method="dm", strings=(), paper=None, models=1, **where):
    """A cell of a made-up table; ``paper`` is in points."""
    where = {
        "table": "table2", "dataset": "mnist", "arch": "small", "certifier": "cnn-cert-relu", "norm": "linf",
        "points": POINTS, "eps_train": "0.3", "eps_cert": "0.3",
    } | where  # fmt: skip
    strings = (strings,) if isinstance(strings, str) else strings
    share = None if paper is None else Share(paper, where["points"] * models)
    return Cell(
        **where, method=method, label=method.upper(), models=models, verdicts=strings, data="d" if strings else "",
        paper=share, reported=True,
    )  # fmt: skip


def row(*cells, times=(), paper_seconds=None, baseline=False, **where):
    """A row of cells of one method, or of times alone; ``times`` are (seconds, device) or seconds."""
    about = cells[0] if cells else cell(**where)
    timings = [time if isinstance(time, tuple) else (time, "GPU") for time in times]
    return Row(
        table=about.table, panel="a panel", dataset=about.dataset, arch=about.arch, method=about.method,
        label=about.label, eps_train=about.eps_train, group=0, baseline=baseline, own=False,
        timings=tuple(Timing(seconds, device, "1", seed) for seed, (seconds, device) in enumerate(timings)),
        paper_seconds=paper_seconds, cells=cells,
    )  # fmt: skip
