"""A held-out part shares no track with the training part, and together they are the training set."""

import pytest
import torch
from small_sources import PATHS, SHAPE, TRACKS, parquets

from dmcore.data import load_images
from dmcore.data.prepared import held_out
from dmcore.errors import UserError
from doublemargin.experiment.sources import prepare

GROUPS = torch.arange(40).repeat_interleave(torch.arange(1, 41))  # 40 tracks of 1 … 40 frames
GROUPS = GROUPS[torch.randperm(len(GROUPS), generator=torch.Generator().manual_seed(0))]


@pytest.mark.parametrize("share", [0.1, 0.25, 0.9])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_track_is_in_both_parts(share, seed):
    held = held_out(len(GROUPS), GROUPS, share=share, seed=seed, by="track")
    inside, outside = set(GROUPS[held].tolist()), set(GROUPS[~held].tolist())
    assert inside & outside == set()
    assert len(inside) == round(share * 40)
    assert len(inside | outside) == 40
    assert torch.equal(held, held_out(len(GROUPS), GROUPS, share=share, seed=seed, by="track"))
    assert not torch.equal(held, held_out(len(GROUPS), GROUPS, share=share, seed=seed + 7, by="track"))


def test_by_point_needs_no_tracks_and_takes_the_exact_share():
    held = held_out(1000, None, share=0.1, seed=0, by="point")
    assert (held.sum(), held.shape, held.dtype) == (100, (1000,), torch.bool)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"share": 0.5, "by": "track"}, "validation by track, but this data set's source names no tracks"),
        ({"share": 0.01, "by": "point"}, "a validation share of 0.01 of 10 points leaves a part empty"),
        ({"share": 0.99, "by": "point"}, "leaves a part empty"),
    ],
)
def test_an_impossible_split_is_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        held_out(10, None, seed=0, **arguments)


BY_TRACK = {"share": 0.4, "seed": 0, "by": "track"}


def prepared(folder, paths, **options):
    """The little set with the tracks that the paths tell."""
    files = {path.name: {} for path in parquets(folder / "own/set", paths)}
    source = {"format": "parquet", "variant": "official", "files": files}
    spec = {"shape": SHAPE, "classes": 3, "train": 8, "test": 5, "sources": [source], **options}
    prepare("set", spec, folder / "out", [str(folder / "own")], folder / "cache", folder / "none")
    return load_images(folder / "out")


def test_the_prepared_file_keeps_the_tracks_and_splits_by_them(tmp_path):
    whole = prepared(tmp_path, PATHS)
    assert whole.validation is None
    split = prepared(tmp_path, PATHS, validation=BY_TRACK)
    assert split.info["validation"] == BY_TRACK
    assert (split.info["sha256"], split.info["train"]) == (whole.info["sha256"], 8)

    def tracks(part):
        return {TRACKS[(whole.train.x == x).flatten(1).all(1).nonzero().item()] for x in part.x}

    kept, held = tracks(split.train), tracks(split.validation)
    assert kept & held == set()
    assert kept | held == set(TRACKS)
    assert len(held) == round(0.4 * 5)
    assert len(split.train) + len(split.validation) == 8
    assert torch.equal(split.test.x, whole.test.x)


def test_a_split_by_track_is_refused_where_there_are_none(tmp_path):
    with pytest.raises(UserError, match="validation by track, but this data set's source names no tracks"):
        prepared(tmp_path, None, validation=BY_TRACK)
    assert not (tmp_path / "out").exists()
    assert len(prepared(tmp_path, None, validation=BY_TRACK | {"by": "point"}).validation) == 3
