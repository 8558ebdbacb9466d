"""A mixed-integer linear program, filled column by column and row by row, and its minimum as HiGHS finds it."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from dmcore.errors import UserError

if TYPE_CHECKING:
    import highspy

TOLERANCE = 1e-9
"""HiGHS's feasibility tolerances, and the gap at which it stops."""

OPENING = 10 * TOLERANCE
"""By how much rows and continuous columns are opened: no point that matters is within the tolerance of a limit."""

DROPPED = 1e-9
"""HiGHS drops coefficients up to this one; so they are dropped here, where their share can be added to the opening."""

Vector = np.ndarray


class Program:
    """Columns within limits, some of them integers, and rows ``lower ≤ A v ≤ upper``.

    Meant for columns and rows whose values are of the order of 1, as the tolerances are absolute.

    Attributes:
        columns, rows: how many there are.
    """

    def __init__(self) -> None:
        self.columns = self.rows = 0
        numbers, indices = np.zeros(0), np.zeros(0, int)
        self._columns = [(numbers, numbers, np.zeros(0, bool))]  # lower, upper, whether an integer
        self._rows = [(numbers, numbers)]
        self._entries = [(indices, indices, numbers)]  # row, column, coefficient

    def add_columns(self, lower: Vector, upper: Vector) -> Vector:
        """Continuous columns, a little opened; returns their indices."""
        return self._add(lower - OPENING, upper + OPENING, integer=False)

    def add_binaries(self, count: int) -> Vector:
        """Columns that are 0 or 1; returns their indices."""
        return self._add(np.zeros(count), np.ones(count), integer=True)

    def _add(self, lower: Vector, upper: Vector, integer: bool) -> Vector:
        self._columns.append((lower, upper, np.full(len(lower), integer)))
        self.columns += len(lower)
        return np.arange(self.columns - len(lower), self.columns)

    def add_rows(
        self,
        lower: Vector | float,
        upper: Vector | float,
        *terms: tuple[Vector, Vector],
        opening: Vector | float = OPENING,
    ) -> None:
        """Rows ``lower − opening ≤ Σ terms ≤ upper + opening``, all of whose columns are within [−1, 1].

        Args:
            terms: pairs (columns, coefficients): with coefficients (rows,) the i-th row has the i-th column, with
                coefficients (rows, columns) every row has all of them.
            opening: of each row, to which the coefficients that are dropped are added.
        """
        count = len(terms[0][1])
        opening = np.broadcast_to(opening, count).copy()
        for columns, coefficients in terms:
            kept = np.abs(coefficients) > DROPPED
            lost = np.where(kept, 0.0, np.abs(coefficients))
            if coefficients.ndim == 1:
                (row,) = np.nonzero(kept)
                at = row
            else:
                row, at = np.nonzero(kept)
                lost = lost.sum(1)
            opening += 2 * lost  # twice: columns are opened, too
            self._entries.append((row + self.rows, columns[at], coefficients[kept]))
        self._rows.append((np.broadcast_to(lower, count) - opening, np.broadcast_to(upper, count) + opening))
        self.rows += count

    def choose(self, columns: Vector, least: int, most: int) -> None:
        """One row over binaries alone, exact: between ``least`` and ``most`` of them are 1."""
        self.add_rows(least, most, (columns, np.ones((1, len(columns)))), opening=0.0)

    def minimum(
        self, columns: Vector, cost: Vector, time_limit: float, node_limit: int
    ) -> tuple[float, Vector | None, bool]:
        """The minimum of ``Σ cost · columns``, as far as it is found within the limits: seconds, and nodes of the tree.

        Returns:
            A lower bound: HiGHS's, less what its tolerances can have added (docs/certifiers.md), or −inf; all columns
            at the best point found, or None; and whether the bound is the minimum, up to tolerances.
        """
        scale = float(np.abs(cost).max(initial=0.0))
        if scale == 0:
            return 0.0, None, True
        solver = _silent(time_limit, node_limit)
        lower, upper, integer = (np.concatenate(part) for part in zip(*self._columns, strict=True))
        costs = np.zeros(self.columns)
        costs[columns] = cost / scale
        solver.passModel(self._model(costs, lower, upper, integer))
        solver.run()
        info, status, known = solver.getInfo(), solver.getModelStatus(), _highs().HighsModelStatus
        solved = status == known.kOptimal
        bounded = known.kOptimal, known.kTimeLimit, known.kSolutionLimit  # the last one: of the nodes
        if integer.any() and status in bounded:
            bound = info.mip_dual_bound
        else:  # of a linear program only the minimum itself is a bound
            bound = info.objective_function_value if solved else -np.inf
        found = info.primal_solution_status == _highs().SolutionStatus.kSolutionStatusFeasible
        point = np.array(solver.getSolution().col_value) if found else None
        return scale * (bound - self._allowance(upper - lower)), point, solved

    def _model(self, costs: Vector, lower: Vector, upper: Vector, integer: Vector) -> highspy.HighsLp:
        row, column, value = (np.concatenate(part) for part in zip(*self._entries, strict=True))
        order = np.argsort(row, kind="stable")
        kinds = {True: _highs().HighsVarType.kInteger, False: _highs().HighsVarType.kContinuous}
        lp = _highs().HighsLp()
        lp.num_col_, lp.num_row_ = self.columns, self.rows
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = costs, lower, upper
        lp.row_lower_, lp.row_upper_ = (np.concatenate(part) for part in zip(*self._rows, strict=True))
        lp.integrality_ = [kinds[bool(whole)] for whole in integer]
        lp.a_matrix_.format_ = _highs().MatrixFormat.kRowwise
        lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=self.rows))])
        lp.a_matrix_.index_, lp.a_matrix_.value_ = column[order], value[order]
        return lp

    def _allowance(self, width: Vector) -> float:
        """What HiGHS's bound may be too high by, for costs of at most 1: its tolerance on every column and row.

        A simplex basis is optimal to HiGHS if no reduced cost has the wrong sign by more than the tolerance; the true
        minimum can be lower by that times the width of the column or the range of the row. A node is given up if it
        cannot improve on the best point by more than the tolerance.
        """
        reach = sum(float(np.abs(value) @ width[column]) for _, column, value in self._entries)
        return TOLERANCE * (2 + float(width.sum()) + reach)


def _highs() -> ModuleType:
    """The package highspy, imported only where it is used: the library does without."""
    try:
        import highspy
    except ImportError as error:
        raise UserError("exact margins need the package highspy: pip install 'doublemargin[exact]'") from error
    return highspy


def _silent(time_limit: float, node_limit: int) -> highspy.Highs:
    """HiGHS on one thread, without a word, with the same result each time (unless the time runs out)."""
    solver = _highs().Highs()
    options = {
        "output_flag": False,
        "threads": 1,
        "parallel": "off",
        "random_seed": 0,
        "time_limit": time_limit,
        "mip_max_nodes": node_limit,
        "presolve": "off",  # what is solved is what was written; on these programs it is no slower
        "mip_allow_restart": False,
        "mip_detect_symmetry": False,
        "mip_rel_gap": 0.0,
        "mip_abs_gap": TOLERANCE,
        "mip_feasibility_tolerance": TOLERANCE,
        "primal_feasibility_tolerance": TOLERANCE,
        "dual_feasibility_tolerance": TOLERANCE,
    }
    for name, value in options.items():
        solver.setOptionValue(name, value)
    return solver
