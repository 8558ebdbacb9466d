"""Steps as CUDA graphs: a small network's step is bound by its hundreds of kernel launches, a replayed graph is not."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dmcore.training.step import Learner, Step

EAGER_FIRST = 3  # steps made as usual before a capture, so that libraries and the optimiser have set themselves up


class CapturedStep(Step):
    """The same steps, each recorded once as a CUDA graph and then replayed.

    A recording takes all that differs from step to step from tensors on the device, by the number of steps done: its
    batches, ε, λ and the learning rate. A replay is one call of the host. There are two recordings, as the warm-up
    computes less. Everything happens on the stream that is current, which must be the same one for all steps. Whoever
    resumes a model makes its step anew: a recording adds to the totals of before.
    """

    recordable = True

    def __init__(self, learners: Sequence[Learner]) -> None:
        super().__init__(learners)
        device, batches = learners[0].device, learners[0].batches
        ramp_factors = [self.schedule.ramp_factor(step) for step in range(self.schedule.steps)]
        rates = [self.schedule.learning_rate(step) for step in range(self.schedule.steps)]
        self.ramp_factors, self.rates = torch.tensor(ramp_factors, device=device), torch.tensor(rates, device=device)
        self.eps = [
            torch.tensor([learner.spec.eps_value * ramp for ramp in ramp_factors], device=device)
            for learner in learners
        ]
        shape = len(learners), batches.per_epoch, batches.size
        self.orders = torch.empty(shape, dtype=torch.int64, device=device)
        self.epoch = -1
        self.eager_left = {False: EAGER_FIRST, True: EAGER_FIRST}
        self.graphs: dict[bool, torch.cuda.CUDAGraph] = {}
        self.told: dict[bool, list[list[str]]] = {}

    def __call__(self, step: int) -> None:
        """Makes the step of that number, counted from 0; it must be the next one."""
        epoch = step // len(self.orders[0])
        if epoch != self.epoch:
            for order, learner in zip(self.orders, self.learners, strict=True):
                order.copy_(learner.batches.order(epoch))
            self.epoch = epoch
        ramping = self.schedule.ramp_factor(step) > 0
        if self.eager_left[ramping]:
            self.eager_left[ramping] -= 1
            self.told[ramping] = self._next(ramping)
        else:
            if ramping not in self.graphs:
                self._capture(ramping)
            self.graphs[ramping].replay()
        self._count(self.told[ramping])

    def _next(self, ramping: bool) -> list[list[str]]:
        done = self.learners[0].done.view(1)

        def now(table: Tensor) -> Tensor:
            return table.index_select(0, done).view(())

        rate, ramp = now(self.rates), now(self.ramp_factors)
        place = done.remainder(self.orders.shape[1])
        batches = []
        for learner, order, eps in zip(self.learners, self.orders, self.eps, strict=True):
            for group in learner.optimizer.param_groups:
                group["lr"].copy_(rate)
            index, data = order.index_select(0, place).view(-1), learner.batches.data
            x, y = (t.index_select(0, index) for t in (data.x, data.y))
            batches.append(learner.batch(x, y, now(eps), ramp))
        return self._learn(batches, ramping)

    def _capture(self, ramping: bool) -> None:
        graph = torch.cuda.CUDAGraph()
        for learner in self.learners:
            graph.register_generator_state(learner.noise)
            learner.optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            self._next(ramping)
        self.graphs[ramping] = graph
