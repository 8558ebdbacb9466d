import torch

from dmcore.crown.margins import by_class, margin_rows

Y = torch.tensor([0, 2, 1])


def test_the_rows_are_the_margins_to_the_other_classes():
    z = torch.tensor([[5.0, 3.0, 1.0], [1.0, 2.0, 4.0], [7.0, 9.0, 6.0]])
    assert margin_rows(Y, 3, z).dot(z).tolist() == [[2, 4], [3, 2], [2, 3]]


def test_what_was_found_goes_to_its_classes():
    found = torch.tensor([[2.0, 4.0], [3.0, 2.0], [2.0, 3.0]], requires_grad=True)
    whole = by_class(found, Y, torch.inf)
    assert whole.tolist() == [[torch.inf, 2, 4], [3, 2, torch.inf], [2, torch.inf, 3]]
    whole[whole.isfinite()].sum().backward()
    assert found.grad.equal(torch.ones(3, 2))
    assert by_class(found > 2.5, Y, True).tolist() == [[True, False, True], [True, False, True], [False, True, True]]
