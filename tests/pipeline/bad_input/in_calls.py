"""Mistakes in calls of the library: each is a line of Python, and ends with a UserError."""

from mistakes import Mistake

MISTAKES = [
    Mistake(
        "call-bytes",
        "margin_bounds(net, x.byte(), y, 0.1)",
        "x must be float32 or float64 pixels in [0, 1], got torch.uint8",
    ),
    Mistake(
        "call-size",
        "margin_bounds(net, x[..., :20], y, 0.1)",
        "input (4, 1, 28, 20) torch.float32 does not fit the network: <reason>",
    ),
    Mistake(
        "call-labels", "margin_bounds(net, x, y[:2], 0.1)", "labels must be 4 integers in 0..9, got (2,) torch.int64"
    ),
    Mistake(
        "call-eps-negative",
        "margin_bounds(net, x, y, -0.1)",
        "eps must be a finite number ≥ 0 (pixel scale), such as 0.1 or '8/255', or one for each point, shape (4,); "
        "got -0.1",
    ),
    Mistake(
        "call-range",
        "margin_bounds(net, 0 * x + 255, y, 0.1)",
        "x[0, 0, 0, 0] is 255, outside [0, 1]: scale the inputs, or name the range they come from: "
        "input_range=(low, high)",
    ),
    Mistake(
        "call-norm",
        "margin_bounds(net, x, y, 0.1, 'inf')",
        "unknown norm 'inf': did you mean 'linf'? known: l0, l1, l2, linf",
    ),
    Mistake(
        "call-sigmoid",
        "margin_bounds(nn.Sequential(nn.Flatten(), nn.Linear(784, 10), nn.Sigmoid()), x, y, 0.1)",
        "layer 2 (Sigmoid) cannot be bounded; known: <all>. Sigmoid is not piecewise linear: train with ReLU",
    ),
    Mistake(
        "call-module",
        "margin_bounds(nn.Bilinear(2, 2, 2), x, y, 0.1)",
        "Bilinear takes 2 inputs; one is known, a batch",
    ),
    Mistake("call-radius", "certified_radius(net, x, y, upper=0)", "upper must be a finite radius > 0, got 0"),
    Mistake("call-onnx", "import_onnx('model.safetensors')", "model.safetensors is no valid ONNX file: <reason>"),
    Mistake(
        "call-vnnlib",
        "export_vnnlib('new', x[0], 3, 0.1, 'l2')",
        "a ball of the norm l2 is no box, so VNN-LIB cannot express it: only linf can be exported",
    ),
]
