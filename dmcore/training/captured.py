"""Steps as CUDA graphs: a small network's step is bound by its hundreds of kernel launches, a replayed graph is not."""

from __future__ import annotations

import torch
from torch import Tensor

from dmcore.regularizers import Batch
from dmcore.spec import ModelSpec
from dmcore.training.step import Step

EAGER_FIRST = 3  # steps made as usual before a capture, so that libraries and the optimiser have set themselves up


class CapturedStep(Step):
    """The same steps, each recorded once as a CUDA graph and then replayed.

    There are two recordings, as the warm-up computes less. A replay reads its inputs from fixed tensors, and what a
    step returns is overwritten by the next one.
    """

    def __init__(self, spec: ModelSpec, device: torch.device) -> None:
        super().__init__(spec, device)
        shape, size = spec.dataset["shape"], spec.training.batch
        self.x = torch.empty(size, *shape, dtype=torch.uint8, device=device)
        self.y = torch.empty(size, dtype=torch.int64, device=device)
        self.eps, self.level = torch.zeros((), device=device), torch.zeros((), device=device)
        self.eager_left = {False: EAGER_FIRST, True: EAGER_FIRST}
        self.graphs: dict[bool, torch.cuda.CUDAGraph] = {}
        self.results: dict[bool, tuple[Batch, dict[str, Tensor]]] = {}

    def __call__(self, step: int, x: Tensor, y: Tensor) -> tuple[Batch, dict[str, Tensor]]:
        level = self.schedule.level(step)
        self.x.copy_(x)
        self.y.copy_(y)
        self.level.fill_(level)
        self.eps.fill_(self.spec.eps_value * level)
        for group in self.optimizer.param_groups:
            group["lr"].fill_(self.schedule.learning_rate(step))
        ramping = level > 0
        if self.eager_left[ramping]:
            self.eager_left[ramping] -= 1
            return self._on_side_stream(ramping)
        if ramping not in self.graphs:
            self._capture(ramping)
        self.graphs[ramping].replay()
        return self.results[ramping]

    def _run(self, ramping: bool) -> tuple[Batch, dict[str, Tensor]]:
        return self._compute(self.x, self.y, self.eps, self.level, ramping)

    def _on_side_stream(self, ramping: bool) -> tuple[Batch, dict[str, Tensor]]:
        # As the documentation of CUDA graphs asks for the steps before a capture.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            result = self._run(ramping)
        torch.cuda.current_stream().wait_stream(stream)
        return result

    def _capture(self, ramping: bool) -> None:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.noise)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            self.results[ramping] = self._run(ramping)
        self.graphs[ramping] = graph

    def _make_optimizer(self) -> torch.optim.Optimizer:
        rate = torch.tensor(self.spec.training.lr, device=self.device)
        if self.spec.training.optimizer == "sgd":
            return torch.optim.SGD(self.net.parameters(), lr=rate, momentum=0.9, fused=True)
        return torch.optim.Adam(self.net.parameters(), lr=rate, fused=True, capturable=True)
