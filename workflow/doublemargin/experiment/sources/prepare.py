"""From the first place that has one of a data set's sources to its prepared file."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dmcore import tensorfile
from dmcore.data.prepared import KIND, held_out
from dmcore.errors import UserError
from doublemargin.experiment.registries import reader
from doublemargin.experiment.sources.places import MissingError, places
from doublemargin.files import shipped

NEEDED = ("shape", "classes", "train", "test", "sources")
CACHE, RESOURCES = Path("data/sources"), Path("resources")


def prepare(
    name: str,
    spec: Mapping[str, Any],
    out: Path,
    configured: Sequence[str] = (),
    cache: Path = CACHE,
    resources: Path = RESOURCES,
) -> dict[str, Any]:
    """Reads a data set from the first place where one of its sources is found whole, and writes the prepared file.

    Args:
        name: the data set's name in the config.
        spec: what :func:`doublemargin.experiment.resolve.data_spec` says of it.
        out: the file to write.
        configured: the user's own places, folders or URL prefixes.
        cache: where downloads are kept, in a folder for each data set.
        resources: where the project's own copies lie, found as :func:`doublemargin.files.shipped` says.

    Returns:
        What the file says of itself, with the hash of its content.

    Raises:
        UserError: no place has a source whose content is the pinned one and fits ``shape``, ``classes`` and counts;
            the validation split is impossible.
    """
    for key in NEEDED:
        if key not in spec:
            raise UserError(f"data set '{name}': its specification has no '{key}': `dmcore spec {name}` prints one")
    for source in spec["sources"]:
        reader.check(source["format"])
    tried, faults = [], []
    own = shipped(resources / name)
    for place in places(name, spec, configured, cache, own.parent):
        try:
            with place.files(cache / name) as paths:
                tensors = _checked(spec, place.source, reader.get(place.source["format"])(paths, tuple(spec["shape"])))
                variant = place.source["variant"]
                if not is_pinned(place.source):
                    if place.kind in ("mirror", "download"):
                        content = tensorfile.content_hash(tensors)
                        raise UserError(f"the config does not pin this download: give it the key content: {content}")
                    variant += ", unpinned"
            break
        except UserError as error:
            tried.append(str(error) if place.where in str(error) else f"{place.where}: {error}")
            if not isinstance(error, MissingError):
                faults.append(tried[-1])
    else:
        wanted = " or ".join(f"{', '.join(s['files'])} ({s['variant']})" for s in spec["sources"])
        restore = f"; to restore the repository's own: git -C {shlex.quote(str(own.parent))} stash push -- {name}"
        raise UserError(
            f"data set '{name}': no source works; tried: {'; '.join(tried)}. Put {wanted} into {cache / name}"
            f"{restore if own.is_dir() else ''}"
        )
    for fault in faults:  # of nearer places; had there been no other, the error would have told them
        print(f"{fault}; looking further", file=sys.stderr)
    info = {
        "name": name,
        "variant": variant,
        "source": {"format": place.source["format"], "place": place.kind},
        "shape": list(spec["shape"]),
        "classes": spec["classes"],
        "train": len(tensors["train_x"]),
        "test": len(tensors["test_x"]),
    }
    if "validation" in spec:
        info["validation"] = dict(spec["validation"])
        held_out(info["train"], tensors.get("train_group"), **spec["validation"])
    content = tensorfile.save(out, KIND, tensors, {"info": json.dumps(info)})
    return info | {"sha256": content}


def is_pinned(source: Mapping[str, Any]) -> bool:
    """Whether the config says what a source's content is: by itself, or by each file."""
    return "content" in source or all(source["files"].values())


def _checked(spec: Mapping[str, Any], source: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The arrays as tensors, if they are what the config says."""
    shape, classes = tuple(spec["shape"]), spec["classes"]
    tensors = {}
    for split in ("train", "test"):
        x, y = arrays[f"{split}_x"], arrays[f"{split}_y"]
        floating = np.issubdtype(x.dtype, np.floating)
        if not (floating or x.dtype == np.uint8) or not np.issubdtype(y.dtype, np.integer):
            wanted = "uint8 or floats, and integers, are needed"
            raise UserError(f"{split} has images of {x.dtype} and labels of {y.dtype}: {wanted}")
        if floating and not ((x >= 0) & (x <= 1)).all():
            raise UserError(f"{split} has values outside [0, 1], {x.min():g} to {x.max():g}: scale them, ε with them")
        if len(x) != spec[split] or y.shape != (len(x),):
            raise UserError(f"{split} has {len(x)} images and labels {y.shape}, the config says {spec[split]}")
        if x.shape[1:] != shape:
            raise UserError(f"images are {x.shape[1:]}, the config says shape {shape}")
        if y.min() < 0 or y.max() >= classes:
            wrong = y.min() if y.min() < 0 else y.max()
            raise UserError(f"label {wrong}, but the config says {classes} classes")
        tensors[f"{split}_x"] = torch.from_numpy(np.array(x, np.float32 if floating else np.uint8, order="C"))
        tensors[f"{split}_y"] = torch.from_numpy(y.astype(np.uint8 if classes <= 256 else np.int64))
    if "train_group" in arrays:
        tensors["train_group"] = torch.from_numpy(arrays["train_group"])
    content = tensorfile.content_hash(tensors)
    if source.get("content", content) != content:
        raise UserError(f"the content is not the pinned one (sha256 {content[:12]}…): put a fresh copy there")
    return tensors
