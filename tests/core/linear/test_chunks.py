"""Work in chunks: what is done where memory is short."""

import pytest
import torch

from dmcore.linear import chunks
from dmcore.linear.chunks import OverBudgetError, map_chunks


def short_of_memory(error, most, tried):
    """Work on a slice that fails where there are more than ``most`` items."""

    def work(items):
        tried.append(items.stop - items.start)
        if tried[-1] > most:
            raise error
        return list(range(items.start, items.stop))

    return work


@pytest.mark.parametrize("error", [OverBudgetError("too many"), torch.OutOfMemoryError("CUDA out of memory")])
def test_half_as_many_are_tried_where_memory_is_short(error):
    tried, fitting = [], {}
    parts = map_chunks(10, 8, short_of_memory(error, 2, tried), fitting, "key")
    assert [item for part in parts for item in part] == list(range(10))
    assert tried == [8, 4, 2, 2, 2, 2, 2]
    assert fitting == {"key": 2}
    with pytest.raises(type(error)):
        map_chunks(10, 8, short_of_memory(error, 0, tried))
    with pytest.raises(RuntimeError, match="inconsistent"):
        map_chunks(10, 8, lambda items: torch.zeros(2) @ torch.zeros(3))


def test_nothing_is_tried_again_in_a_graph_that_is_recorded(monkeypatch):
    """What failed is in the graph by then; what is over the budget has not begun."""
    monkeypatch.setattr(chunks, "recording", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: pytest.fail("the cache is emptied"))
    tried = []
    with pytest.raises(torch.OutOfMemoryError):
        map_chunks(4, 4, short_of_memory(torch.OutOfMemoryError("CUDA out of memory"), 2, tried))
    assert tried == [4]
    assert map_chunks(4, 4, short_of_memory(OverBudgetError("too many"), 2, tried)) == [[0, 1], [2, 3]]
