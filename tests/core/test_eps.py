import math
from fractions import Fraction

import pytest

from dmcore.eps import Eps
from dmcore.errors import UserError


@pytest.mark.parametrize(
    ("text", "identity", "label", "value"),
    [
        ("8/255", "8_255", "8/255", Fraction(8, 255)),
        ("8_255", "8_255", "8/255", Fraction(8, 255)),
        ("0.5/255", "0.5_255", "0.5/255", Fraction(1, 510)),
        (0.3, "0.3", "0.3", Fraction(3, 10)),
        ("0.10", "0.1", "0.1", Fraction(1, 10)),
        (0, "0", "0", Fraction(0)),
        ("2.0", "2", "2", Fraction(2)),
        ("00.30", "0.3", "0.3", Fraction(3, 10)),
        (1e-5, "0.00001", "0.00001", Fraction(1, 10**5)),
    ],
)
def test_exact_ids(text, identity, label, value):
    eps = Eps.parse(text)
    assert (eps.id, eps.label, eps.value) == (identity, label, value)
    assert Eps.parse(eps.id) == eps
    assert math.isclose(float(eps), float(value))


@pytest.mark.parametrize(
    "text", ["-0.3", "8/0", "1e-3", "0.3.1", "", "nan", "a/255", "8/255/2", "../0.3", "٣", "1" * 21, math.inf]
)
def test_anything_else_is_refused(text):
    with pytest.raises(UserError, match="is not a radius"):
        Eps.parse(text)


def test_ordered_by_size():
    ids = [e.id for e in sorted(Eps.parse(t) for t in ("0.1", "8/255", "0", "0.03"))]
    assert ids == ["0", "0.03", "8_255", "0.1"]
