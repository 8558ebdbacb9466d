"""A naive reference: every layer written out as a matrix, linear bounds by loops over it, all in float64.

It shares no code with dmcore and is far too slow for anything but small nets.
"""

import numpy as np
import torch
from torch import nn


class PrunedReLU(nn.Module):
    """A layer with ReLUs only where ``keep``; else the identity where ``passed``, and 0 elsewhere."""

    def __init__(self, keep, passed):
        super().__init__()
        self.keep, self.passed = keep, passed


def matrices(net, in_shape):
    """The layers of a plain Sequential as steps on flat vectors.

    ("affine", M, b), ("relu",), ("pruned", keep, passed), ("pool", windows).
    """
    steps, shape = [], tuple(in_shape)
    for layer in net:
        if isinstance(layer, nn.Flatten):
            shape = (int(np.prod(shape)),)
        elif isinstance(layer, nn.ReLU):
            steps.append(("relu",))
        elif isinstance(layer, PrunedReLU):
            steps.append(("pruned", layer.keep.flatten().numpy(), layer.passed.flatten().numpy()))
        elif isinstance(layer, nn.MaxPool2d):
            windows, shape = _windows(layer, shape)
            steps.append(("pool", windows))
        else:
            size = int(np.prod(shape))
            layer = layer.double()
            basis = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
            with torch.no_grad():
                zero = layer(torch.zeros(1, *shape, dtype=torch.float64))
                columns = layer(basis) - zero
            shape = tuple(zero.shape[1:])
            steps.append(("affine", columns.reshape(size, -1).T.numpy(), zero.flatten().numpy()))
    return steps


def _windows(pool, shape):
    c, h, w = shape
    k, s, p = (v if isinstance(v, tuple) else (v, v) for v in (pool.kernel_size, pool.stride, pool.padding))
    out = ((h + 2 * p[0] - k[0]) // s[0] + 1, (w + 2 * p[1] - k[1]) // s[1] + 1)
    windows = []
    for ch in range(c):
        for i in range(out[0]):
            for j in range(out[1]):
                inside = []
                for a in range(i * s[0] - p[0], i * s[0] - p[0] + k[0]):
                    for b in range(j * s[1] - p[1], j * s[1] - p[1] + k[1]):
                        if 0 <= a < h and 0 <= b < w:
                            inside.append(ch * h * w + a * w + b)
                windows.append(inside)
    return windows, (c, *out)


def box(x, eps, clip, norm="linf"):
    """The smallest box around the ball."""
    if norm == "l0":
        return (np.minimum(x, 0), np.maximum(x, 1)) if eps else (x, x)
    low, high = x - eps, x + eps
    if clip:
        low, high = np.clip(low, 0, 1), np.clip(high, 0, 1)
    return low, high


def lowest(a, x, eps, clip=False, norm="linf"):
    """The smallest value of a · x over the ball (where an ℓ1 or ℓ2 ball is cut, a bound of it)."""
    low, high = box(x, eps, clip, norm)
    in_box = sum(c * (lo if c > 0 else hi) for c, lo, hi in zip(a, low, high, strict=True))
    if norm == "linf":
        return in_box
    if norm == "l0":
        losses = sorted((max(c * (v - lo), c * (v - hi)) for c, v, lo, hi in zip(a, x, low, high, strict=True)))[::-1]
        return a @ x - sum(min(max(eps - rank, 0), 1) * loss for rank, loss in enumerate(losses))
    dual = max(abs(a)) if norm == "l1" else sum(c * c for c in a) ** 0.5
    return max(a @ x - eps * dual, in_box) if clip else a @ x - eps * dual


def interval(steps, x, eps, clip=False, norm="linf"):
    """(lower, upper) after every step, the input first."""
    bounds = [box(x, eps, clip, norm)]
    for i, step in enumerate(steps):
        low, high = bounds[-1]
        if step[0] == "affine" and i == 0:
            below = np.array([lowest(row, x, eps, clip, norm) for row in step[1]])
            above = np.array([-lowest(-row, x, eps, clip, norm) for row in step[1]])
            bounds.append((below + step[2], above + step[2]))
        elif step[0] == "affine":
            plus, minus = np.maximum(step[1], 0), np.minimum(step[1], 0)
            bounds.append((plus @ low + minus @ high + step[2], plus @ high + minus @ low + step[2]))
        elif step[0] == "relu":
            bounds.append((np.maximum(low, 0), np.maximum(high, 0)))
        elif step[0] == "pruned":
            bounds.append(tuple(np.where(step[1], np.maximum(v, 0), np.where(step[2], v, 0)) for v in (low, high)))
        else:
            bounds.append(tuple(np.array([v[w].max() for w in step[1]]) for v in (low, high)))
    return bounds


def margins_ibp(steps, x, y, eps, clip=False, norm="linf"):
    """Margins' lower bounds: rows through what is linear at the end, then interval arithmetic.

    Pruned ReLUs are left behind at their intervals, except for those that are the identity.
    """
    last = len(steps)
    rows = np.eye(len(steps[-1][1]))
    rows, constant = rows[y] - rows, 0.0
    bounds = interval(steps, x, eps, clip, norm)
    while last and steps[last - 1][0] in ("affine", "pruned"):
        last -= 1
        if steps[last][0] == "affine":
            rows, constant = rows @ steps[last][1], constant + rows @ steps[last][2]
        else:
            _, keep, passed = steps[last]
            constant = constant + _concretised(rows * keep, *bounds[last + 1])
            rows = rows * passed
    if last == 0:
        return np.array([lowest(row, x, eps, clip, norm) for row in rows]) + constant
    return _concretised(rows, *bounds[last]) + constant


def _concretised(rows, low, high):
    return np.maximum(rows, 0) @ low + np.minimum(rows, 0) @ high


def margins_linear(steps, x, y, eps, slope, clip=False, norm="linf", intersect=False):
    """Margins' lower bounds by full backward substitution, neuron by neuron.

    With ``intersect`` each is the better one of that and of the substitution back to the last non-linear layer's box.
    """
    ball = (x, eps, clip, norm)
    before = {}  # index of a non-linear step → bounds of its input
    lower = _better if intersect else _lower
    sizes = [len(x)]
    for step in steps:
        sizes.append(len(step[1]) if step[0] != "relu" else sizes[-1])
    for i, step in enumerate(steps):
        if step[0] != "affine":
            eye = np.eye(sizes[i])
            before[i] = (
                np.array([lower(steps[:i], row, ball, before, slope) for row in eye]),
                np.array([-lower(steps[:i], -row, ball, before, slope) for row in eye]),
            )
    classes = np.eye(sizes[-1])
    return np.array([lower(steps, classes[y] - row, ball, before, slope) for row in classes])


def margins_crown_ibp(steps, x, y, eps, clip=False):
    """Margins' lower bounds by CROWN's lines, in boxes by interval arithmetic."""
    boxes = interval(steps, x, eps, clip)
    before = {i: boxes[i] for i, step in enumerate(steps) if step[0] != "affine"}
    classes = np.eye(len(boxes[-1][0]))
    return np.array([_lower(steps, classes[y] - row, (x, eps, clip, "linf"), before, "ada") for row in classes])


def _better(steps, a, ball, before, slope):
    """The larger one of the bound by substitution and of the interval bound from the last non-linear layer's box."""
    constant, form, i = 0.0, a, len(steps)
    while i and steps[i - 1][0] == "affine":
        i -= 1
        constant, form = constant + form @ steps[i][2], form @ steps[i][1]
    if i == 0:
        return constant + lowest(form, *ball)
    low, high = before[i - 1]
    if steps[i - 1][0] == "relu":
        low, high = np.maximum(low, 0), np.maximum(high, 0)
    else:
        low, high = (np.array([v[w].max() for w in steps[i - 1][1]]) for v in (low, high))
    return max(_lower(steps, a, ball, before, slope), constant + _concretised(form, low, high))


def _lower(steps, a, ball, before, slope):
    """Lower bound of a · (value after the steps)."""
    constant = 0.0
    for i in reversed(range(len(steps))):
        step = steps[i]
        if step[0] == "affine":
            constant += a @ step[2]
            a = a @ step[1]
            continue
        low_z, up_z = before[i]
        if step[0] in ("relu", "pruned"):
            keep, passed = step[1:] if step[0] == "pruned" else (np.ones(len(a), bool), np.zeros(len(a), bool))
            new = a * passed
            for j in np.nonzero(a * keep)[0]:
                if low_z[j] >= 0:
                    new[j] = a[j]
                elif up_z[j] > 0:
                    chord = up_z[j] / (up_z[j] - low_z[j])
                    lower_slope = {"relu": chord, "ada": float(up_z[j] >= -low_z[j]), "zero": 0.0}[slope]
                    new[j] = a[j] * (lower_slope if a[j] >= 0 else chord)
                    constant += 0.0 if a[j] >= 0 else -a[j] * chord * low_z[j]
            a = new
        else:
            new = np.zeros(len(low_z))
            for j in np.nonzero(a)[0]:
                weights, intercept = _pool_line(low_z, up_z, step[1][j], a[j] >= 0, slope)
                constant += a[j] * intercept
                for q, w in weights.items():
                    new[q] += a[j] * w
            a = new
    return constant + lowest(a, *ball)


def _pool_line(low, up, window, is_lower, slope):
    """The line below (or above) the maximum over a window: ({input: slope}, intercept)."""
    floor = max(low[q] for q in window)
    top = max(up[q] for q in window)
    if top == floor:
        return {}, floor
    live = [q for q in window if up[q] > floor]
    if len(live) == 1 and low[live[0]] == floor:
        return {live[0]: 1.0}, 0.0
    if slope == "zero":
        return {}, (floor if is_lower else top)
    width = {q: up[q] - low[q] for q in live}
    gamma = (sum(up[q] / width[q] for q in live) - 1) / sum(1 / width[q] for q in live)
    gamma = min(max(gamma, floor), min(up[q] for q in live))
    slopes = {q: (up[q] - gamma) / width[q] for q in live}
    total = sum(slopes.values())
    if is_lower:
        eta = min(low[q] for q in live) if total < 1 else top
        return slopes, eta * (1 - total)
    return slopes, gamma - sum(slopes[q] * low[q] for q in live)
