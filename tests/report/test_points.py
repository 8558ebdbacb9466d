"""Pictures of points: how many, and that printed radii are rounded to the safe side."""

import math

import numpy as np

from doublemargin.experiment.pictured import PicturedPoint
from doublemargin.report.figures.points import draw


def point(radius=0.12345, eps=0.23451, channels=1, change=0.2):
    image = np.full((4, 5, channels), 0.5)
    adversarial = image.copy()
    adversarial[0, 0] += change
    return PicturedPoint(image, adversarial, 7, 7, radius, eps, 9)


def texts(figure):
    return [axis.get_title() for axis in figure.axes]


def test_each_point_has_three_images_below_each_other():
    figure = draw([point() for _ in range(8)] + [point(channels=3)] * 3, "a model")
    assert len(figure.axes) == 3 * 11
    places = [(axis.get_subplotspec().rowspan.start, axis.get_subplotspec().colspan.start) for axis in figure.axes]
    assert places == [(row + below, column) for row, n in ((0, 8), (3, 3)) for column in range(n) for below in range(3)]


def test_radii_are_rounded_to_the_safe_side_and_the_difference_is_amplified():
    figure = draw([point()], "a model")
    assert texts(figure) == ["7, predicted 7\ncertified ε 0.123", "predicted 9\nε 0.235", "× 2.5"]
    difference = figure.axes[2].images[0].get_array()
    assert difference.max() == 1.0
    assert (difference.ravel()[1:] == 0.5).all()


def test_what_has_no_radius_or_no_adversarial_example_says_so():
    figure = draw([point(math.nan, 0.0, change=0), point(0.1, math.inf, change=0)], "a model")
    assert texts(figure) == [
        *("7, predicted 7\nmisclassified", "predicted 9\nε 0", ""),
        *("7, predicted 7\ncertified ε 0.100", "none found", ""),
    ]
