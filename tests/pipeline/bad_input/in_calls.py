"""Mistakes in calls of the library: each is a line of Python, and ends with a UserError."""

from mistakes import Mistake

TITLE = "The library"
RADIUS = "eps must be a finite number ≥ 0 (pixel scale), such as 0.1 or '8/255', or one for each point, shape (4,); "
PIXELS = "x must be float32 or float64 pixels in [0, 1], got torch."


def call(id, what, run, says):
    return Mistake(id, what, run, says)


def layer(id, what, layers, says):
    return Mistake(id, what, f"margin_bounds(nn.Sequential({layers}), x, y, 0.1)", says)


MISTAKES = [
    call("call-bytes", "pixels from 0 to 255", "margin_bounds(net, x.byte(), y, 0.1)", f"{PIXELS}uint8"),
    call("call-half", "half precision", "margin_bounds(net, x.half(), y, 0.1)", f"{PIXELS}float16"),
    call("call-precision", "inputs in another precision than the net", "margin_bounds(net, x.double(), y, 0.1)",
         "input (4, 1, 28, 28) torch.float64 does not fit the network: <reason>"),
    call("call-size", "images of another size", "margin_bounds(net, x[..., :20], y, 0.1)",
         "input (4, 1, 28, 20) torch.float32 does not fit the network: <reason>"),
    call("call-labels", "fewer labels than images", "margin_bounds(net, x, y[:2], 0.1)",
         "labels must be 4 integers in 0..9, got (2,) torch.int64"),
    call("call-label-range", "a label that is no class", "margin_bounds(net, x, y + 10, 0.1)",
         "labels must be 4 integers in 0..9, got (4,) torch.int64"),
    call("call-label-type", "labels that are no whole numbers", "margin_bounds(net, x, y.float(), 0.1)",
         "labels must be 4 integers in 0..9, got (4,) torch.float32"),
    call("call-eps-negative", "a negative ε", "margin_bounds(net, x, y, -0.1)",
         f"{RADIUS}got -0.1"),
    call("call-eps-nan", "ε that is no number", "margin_bounds(net, x, y, float('nan'))",
         f"{RADIUS}got nan"),
    call("call-eps-text", "text that is no ε", "margin_bounds(net, x, y, '8/0')",
         "eps '8/0' is not a radius ≥ 0 such as 0.3 or 8/255"),
    call("call-eps-shape", "an ε for each of other points", "margin_bounds(net, x, y, y[:2] / 10)",
         f"{RADIUS}got tensor(<its values>)"),
    call("call-range", "pixels from 0 to 255 as float", "margin_bounds(net, 0 * x + 255, y, 0.1)",
         "x[0, 0, 0, 0] is 255, outside [0, 1]: scale the inputs, or name the range they come from: "
         "input_range=(low, high)"),
    call("call-nan", "a pixel that is no number", "margin_bounds(net, x / 0, y, 0.1)",
         "x[0, 0, 0, 0] is <inf or nan>, outside [0, 1]: <how to name the range>"),
    call("call-image", "an image without a batch", "margin_bounds(nn.Sequential(nn.Conv2d(1, 2, 3)), x[0], y, 0.1)",
         "a Conv takes a batch of images (B, C, H, W), got (B, 28, 28): x[None] is a batch of one image, x[:, None] "
         "gives images their channel"),
    call("call-l0", "a fraction of an input", "margin_bounds(net, x, y, 0.5, 'l0')",
         "under the norm l0 eps counts changed inputs: a whole number, not 0.5"),
    call("call-norm", "a norm that there is not", "margin_bounds(net, x, y, 0.1, 'inf')",
         "unknown norm 'inf': did you mean 'linf'? known: l0, l1, l2, linf"),
    call("call-certifier", "a certifier that there is not", "margin_bounds(net, x, y, 0.1, certifier='crown')",
         "unknown certifier 'crown': <the nearest, and all>"),
    layer("layer-sigmoid", "a layer that cannot be bounded", "nn.Flatten(), nn.Linear(784, 10), nn.Sigmoid()",
          "layer 2 (Sigmoid) cannot be bounded; known: <all>. Sigmoid is not piecewise linear: train with ReLU"),
    layer("layer-ceil", "a max-pool with an option that cannot be bounded",
          "nn.MaxPool2d(3, ceil_mode=True), nn.Flatten(), nn.Linear(100, 10)",
          "layer 0 (<the layer>): ceil_mode, dilation and return_indices cannot be bounded"),
    layer("layer-none", "a net without layers", "", "Sequential computes nothing: it has no layers"),
    layer("layer-no-logits", "a net that ends in an image", "nn.Conv2d(1, 2, 3)",
          "the network's output has shape (2, 26, 26), not (classes,)"),
    call("call-module", "a net of one's own class", "margin_bounds(nn.Bilinear(2, 2, 2), x, y, 0.1)",
         "Bilinear takes 2 inputs; one is known, a batch"),
    call("call-bounds-eps", "a negative ε of bounds", "interval_bounds(net, x, -1)",
         f"{RADIUS}got -1"),
    call("call-radius", "a largest radius of 0", "certified_radius(net, x, y, upper=0)",
         "upper must be a finite radius > 0, got 0"),
    call("call-attack", "no tries of an attack", "attack_points(net, x, y, 0.1, restarts=0)",
         "restarts and steps must be ≥ 1, got 0 and 50"),
    call("call-onnx", "a file that is no ONNX", "import_onnx('model.safetensors')",
         "model.safetensors is no valid ONNX file: <reason>"),
    call("call-vnnlib", "a norm that VNN-LIB has not", "export_vnnlib('new', x[0], 3, 0.1, 'l2')",
         "a ball of the norm l2 is no box, so VNN-LIB cannot express it: only linf can be exported"),
]  # fmt: skip
