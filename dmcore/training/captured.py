"""Steps as CUDA graphs: a small network's step is bound by its hundreds of kernel launches, a replayed graph is not."""

from __future__ import annotations

import torch
from torch import Tensor

from dmcore.data import Split
from dmcore.spec import ModelSpec
from dmcore.training.history import Totals
from dmcore.training.step import Step

EAGER_FIRST = 3  # steps made as usual before a capture, so that libraries and the optimiser have set themselves up


class CapturedStep(Step):
    """The same steps, each recorded once as a CUDA graph and then replayed.

    A recording takes all that differs from step to step from tensors on the device, by the number of steps done: its
    batch, ε, λ and the learning rate. A replay is one call of the host. There are two recordings, as the warm-up
    computes less. Everything happens on the stream that is current, which must be the same one for all steps.
    """

    def __init__(self, spec: ModelSpec, data: Split, device: torch.device) -> None:
        super().__init__(spec, data, device)
        ramp_factors = [self.schedule.ramp_factor(step) for step in range(spec.training.steps)]
        rates = [self.schedule.learning_rate(step) for step in range(spec.training.steps)]
        self.ramp_factors, self.rates = torch.tensor(ramp_factors, device=device), torch.tensor(rates, device=device)
        self.eps = torch.tensor([spec.eps_value * ramp for ramp in ramp_factors], device=device)
        self.order = torch.empty(self.batches.per_epoch, self.batches.size, dtype=torch.int64, device=device)
        self.epoch = -1
        self.eager_left = {False: EAGER_FIRST, True: EAGER_FIRST}
        self.graphs: dict[bool, torch.cuda.CUDAGraph] = {}
        self.told: dict[bool, list[str]] = {}

    def __call__(self, step: int) -> None:
        """Makes the step of that number, counted from 0; it must be the next one."""
        epoch = step // self.batches.per_epoch
        if epoch != self.epoch:
            self.order.copy_(self.batches.order(epoch))
            self.epoch = epoch
        ramping = self.schedule.ramp_factor(step) > 0
        if self.eager_left[ramping]:
            self.eager_left[ramping] -= 1
            self.told[ramping] = self._next(ramping)
        else:
            if ramping not in self.graphs:
                self._capture(ramping)
            self.graphs[ramping].replay()
        self.totals.count(self.told[ramping])

    def resume(self, step: int, totals: Totals) -> None:
        self.graphs.clear()  # they add to the totals of before
        super().resume(step, totals)

    def _next(self, ramping: bool) -> list[str]:
        def now(table: Tensor) -> Tensor:
            return table.index_select(0, self.done.view(1)).view(())

        for group in self.optimizer.param_groups:
            group["lr"].copy_(now(self.rates))
        place = self.done.remainder(self.batches.per_epoch)
        index = self.order.index_select(0, place.view(1)).view(-1)
        x, y = (t.index_select(0, index) for t in (self.batches.data.x, self.batches.data.y))
        return list(self._compute(x, y, now(self.eps), now(self.ramp_factors), ramping))

    def _capture(self, ramping: bool) -> None:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.noise)
        self.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            self._next(ramping)
        self.graphs[ramping] = graph

    def _make_optimizer(self) -> torch.optim.Optimizer:
        rate = torch.tensor(self.schedule.lr, device=self.device)
        if self.schedule.optimizer == "sgd":
            return torch.optim.SGD(self.net.parameters(), lr=rate, momentum=0.9, fused=True)
        return torch.optim.Adam(self.net.parameters(), lr=rate, fused=True, capturable=True)
