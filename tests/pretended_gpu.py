"""A pretended GPU: tensors on ``cuda:0`` that compute on the CPU, and notes of what a real one would mind."""

import sys
from collections import Counter
from contextlib import contextmanager

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

GPU = torch.device("cuda", 0)
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim", "bincount"}
VIEWS = {"_unsafe_view", "_reshape_alias", "set_", "resize_"}  # further ones are told by their schema


class OnGpu(torch.Tensor):
    """A tensor of the pretended GPU; ``value`` is what it holds.

    To torch's C++ it is on ``meta``, a device that needs no driver, so that what C++ makes beside it goes there, too.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl
    device = property(lambda self: GPU)
    is_cuda = property(lambda self: True)
    is_meta = property(lambda self: False)

    @staticmethod
    def __new__(cls, value):
        layout = {"strides": value.stride(), "storage_offset": value.storage_offset()}
        return torch.Tensor._make_wrapper_subclass(cls, value.size(), dtype=value.dtype, device="meta", **layout)

    def __init__(self, value):
        self.value = value

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise AssertionError("a tensor of the pretended GPU is used outside of it")


class Gpu(TorchDispatchMode):
    """What happens on the pretended GPU while it is there, by operation and line of ours.

    Attributes:
        mixed: operations on tensors of both devices.
        waits: operations whose result the host waits for.
        kernels: operations that compute.
        narrow: those of them that add up float32's products.
    """

    def __init__(self):
        super().__init__()
        self.forget()

    def forget(self):
        """Begins to count anew."""
        self.mixed, self.waits, self.kernels, self.narrow = Counter(), Counter(), Counter(), Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        ours = [isinstance(t, OnGpu) for t in tensors]
        device = kwargs.get("device")
        here = any(ours) if device is None else torch.device(device).type in ("cuda", "meta")
        if any(ours) or here:
            self._note(func, args, tensors, ours, here)
        if device is not None:
            kwargs = {**kwargs, "device": "cpu"}
        found = func(*tree_map(_value, args), **tree_map(_value, kwargs))
        if not here:
            return found
        found = tree_map(lambda t: OnGpu(t) if isinstance(t, torch.Tensor) else t, found)
        return return_and_correct_aliasing(func, args, kwargs, found) if func._schema.is_mutable else found

    def _note(self, func, args, tensors, ours, here):
        name, place = func._schema.name.removeprefix("aten::"), f"{func} in {_line()}"
        copies = name in ("copy_", "_to_copy")
        by_mask = name.startswith(("index", "_index_put")) and any(
            t.dtype == torch.bool for t in tree_leaves(args[1]) if isinstance(t, torch.Tensor)
        )
        if name in WAITS or by_mask or (copies and ours[0] and not here) or (name == "copy_" and ours == [False, True]):
            self.waits[place] += 1
        if not copies and any(t.ndim for t, on_gpu in zip(tensors, ours, strict=True) if not on_gpu):
            self.mixed[place] += 1
        if not (func.is_view or name in VIEWS or "empty" in name):
            self.kernels[name] += 1
            if name in ("convolution", "mm", "bmm", "addmm", "baddbmm") and tensors[0].dtype == torch.float32:
                self.narrow[place] += 1


def _value(t):
    return t.value if isinstance(t, OnGpu) else t


def _line():
    frame = sys._getframe()
    while frame and "/dmcore/" not in frame.f_code.co_filename:
        frame = frame.f_back
    return f"{frame.f_code.co_filename.rpartition('/dmcore/')[2]}:{frame.f_lineno}" if frame else "?"


@contextmanager
def pretended_gpu():
    """A :class:`Gpu`, and torch as if it had one."""
    make_tensor = torch.tensor

    def tensor(data, *, device=None, **options):
        made = make_tensor(data, **options)
        return made if device is None else made.to(device)

    class GeneratorOfAnyDevice(torch.Generator):
        def __new__(cls, device="cpu"):
            return super().__new__(cls)

    with pytest.MonkeyPatch.context() as patch, Gpu() as gpu:
        patch.setattr(torch.cuda, "_lazy_init", lambda: None)
        patch.setattr(torch, "tensor", tensor)
        patch.setattr(torch, "Generator", GeneratorOfAnyDevice)
        patch.setattr(torch.__future__, "_overwrite_module_params_on_conversion", True)
        yield gpu
