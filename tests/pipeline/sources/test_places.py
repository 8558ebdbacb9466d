"""Where source files are looked for, in what order, and what becomes of failing downloads. Only 127.0.0.1 is asked."""

import functools
import hashlib
import http.server
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from small_sources import SHAPE, TEST_X, TRAIN_X, TRAIN_Y, npzs, parquet

from dmcore.data import load_images
from dmcore.errors import UserError
from doublemargin.experiment.sources import prepare
from doublemargin.experiment.sources.places import places

NOWHERE = "http://127.0.0.1:9/"  # the discard port: refuses at once


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder; ``faults`` holds for a path what the next requests for it get in its place."""

    def __init__(self, folder):
        self.faults, self.asked = {}, []
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        faults = self.server.faults.get(self.path)
        fault = faults.pop(0) if faults else None
        content = Path(self.translate_path(self.path))
        content = content.read_bytes() if content.is_file() else b""
        if fault is None:
            super().do_GET()
        elif fault == 503:
            self.send_error(503)
        elif fault not in ("cut", "wrong"):  # a place to be sent to
            self.send_response(302)
            self.send_header("Location", fault)
            self.end_headers()
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if fault == "cut" else bytes(len(content)))

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("pooch.core.time.sleep", lambda seconds: slept.append(seconds))
    slept = []
    npzs(tmp_path / "www/own")
    with Server(tmp_path / "www") as server:
        server.slept = slept
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Own:
    """A little npz set, each of whose files is pinned to what ``folder`` holds."""

    def __init__(self, tmp_path):
        self.tmp, self.cache = tmp_path, tmp_path / "cache/own"
        pins = {path.name: {"sha256": sha(path)} for path in npzs(tmp_path / "pinned")}
        self.source = {"format": "npz", "variant": "official", "files": pins}
        self.spec = {"shape": SHAPE, "classes": 3, "train": 8, "test": 5, "sources": [self.source]}

    def prepare(self, *configured):
        where = [str(place) for place in configured]
        return prepare("own", self.spec, self.tmp / "out", where, self.tmp / "cache", self.tmp / "resources")

    def refusal(self, *configured):
        with pytest.raises(UserError) as error:
            self.prepare(*configured)
        assert "\n" not in str(error.value)
        assert not (self.tmp / "out").exists()
        return str(error.value)

    def downloaded(self):
        return sorted(p.name for p in self.cache.rglob("*"))


@pytest.fixture
def own(tmp_path):
    return Own(tmp_path)


def test_the_order_of_places():
    sources = [
        {"format": "npz", "variant": "official", "urls": ["https://a", "https://b/c/"], "files": {}},
        {"format": "parquet", "variant": "other", "files": {}},
    ]
    configured = ["/x", "http://m/n/"]
    found = places("own", {"sources": sources}, configured, Path("data/sources"), Path("resources"))
    assert [(p.kind, p.where, p.source["format"]) for p in found] == [
        ("cache", "data/sources/own", "npz"),
        ("cache", "data/sources/own", "parquet"),
        ("folder", "/x/own", "npz"),
        ("folder", "/x/own", "parquet"),
        ("mirror", "http://m/n/own/", "npz"),
        ("mirror", "http://m/n/own/", "parquet"),
        ("resources", "resources/own", "npz"),
        ("resources", "resources/own", "parquet"),
        ("download", "https://a/", "npz"),
        ("download", "https://b/c/", "npz"),
    ]


def test_the_nearest_place_wins(own, server):
    own.source["urls"] = [f"{server.url}/own"]
    assert own.prepare()["source"] == {"format": "npz", "place": "download"}
    npzs(own.tmp / "resources/own")
    assert own.prepare()["source"]["place"] == "cache"
    for path in own.cache.iterdir():
        path.unlink()
    assert own.prepare()["source"]["place"] == "resources"
    assert own.prepare(server.url)["source"]["place"] == "mirror"
    for path in own.cache.iterdir():
        path.unlink()
    npzs(own.tmp / "a/own")
    asked = len(server.asked)
    assert own.prepare(own.tmp / "none", own.tmp / "a", server.url)["source"]["place"] == "folder"
    assert len(server.asked) == asked
    assert own.downloaded() == []  # what lies in a folder is read there


def test_the_variant_is_that_of_the_source_really_used(own):
    own.spec["sources"].append({"format": "parquet", "variant": "lossy", "files": {}, "content": "0" * 64})
    place = own.tmp / "a/own"
    place.mkdir(parents=True)
    test_y = np.load(own.tmp / "pinned/test.npz")["y"]
    for split, x, y in (("train", TRAIN_X, TRAIN_Y), ("test", TEST_X, test_y)):
        own.spec["sources"][1]["files"][parquet(place / f"{split}.parquet", x, y).name] = {}
    assert "a/own: the content is not the pinned one" in own.refusal(own.tmp / "a")
    del own.spec["sources"][1]["content"]
    unpinned = own.prepare(own.tmp / "a")
    assert unpinned["variant"] == "lossy, unpinned"
    content = unpinned["sha256"]
    own.spec["sources"][1]["content"] = content
    assert own.prepare(own.tmp / "a")["variant"] == "lossy"
    assert load_images(own.tmp / "out").info["sha256"] == content
    npzs(own.tmp / "b/own")
    assert own.prepare(own.tmp / "b", own.tmp / "a")["variant"] == "official"
    info = load_images(own.tmp / "out").info
    assert (info["variant"], info["sha256"]) == ("official", content)  # the same pixels in another wrapping


def test_a_download_that_fails_at_first_is_tried_again(own, server):
    faults = ["wrong", 503, "cut"]
    server.faults["/own/train.npz"] = list(faults)
    own.prepare(server.url)
    assert server.asked == ["/own/train.npz"] * (len(faults) + 1) + ["/own/test.npz"]
    assert server.slept == list(range(1, len(faults) + 1))
    assert own.downloaded() == ["test.npz", "train.npz"]
    assert sha(own.cache / "train.npz") == own.source["files"]["train.npz"]["sha256"]
    umask = os.umask(0)
    os.umask(umask)
    assert (own.cache / "train.npz").stat().st_mode & 0o777 == 0o644
    assert np.array_equal(load_images(own.tmp / "out").train.x.numpy(), TRAIN_X)


@pytest.mark.parametrize(
    ("fault", "message"),
    [(503, "503 Server Error"), ("wrong", "does not match the known hash"), ("cut", "IncompleteRead")],
)
def test_a_download_that_keeps_failing_leaves_nothing_behind(own, server, fault, message):
    server.faults["/own/train.npz"] = [fault] * 9
    refusal = own.refusal(server.url)
    assert f"{server.url}/own/train.npz: " in refusal
    assert message in refusal
    assert server.asked == ["/own/train.npz"] * 4
    assert own.downloaded() == []


def test_a_server_cannot_send_to_files_of_the_machine(own, server):
    server.faults["/own/train.npz"] = ["file:///etc/hostname"] * 9
    assert "No connection adapters were found for" in own.refusal(server.url)
    assert own.downloaded() == []


def test_a_server_that_sends_to_another_file_gives_none(own, server):
    """Where the content alone is pinned."""
    own.source["files"] = {name: {} for name in own.source["files"]}
    own.source["content"] = "0" * 64
    server.faults["/own/train.npz"] = ["/own/test.npz"]
    assert "train has 5 images" in own.refusal(server.url)
    assert own.downloaded() == []


def test_a_file_that_is_not_on_the_server_is_not_asked_for_again(own, server):
    (own.tmp / "www/own/test.npz").unlink()
    assert f"{server.url}/own/test.npz: 404 File not found" in own.refusal(server.url)
    assert server.asked == ["/own/train.npz", "/own/test.npz"]
    assert own.downloaded() == ["train.npz"]  # whole and checked: not asked for again
    npzs(own.tmp / "www/own")
    own.prepare(server.url)
    assert server.asked[2:] == ["/own/test.npz"]


def test_a_cache_that_cannot_be_written_is_named_and_hides_no_other_place(own):
    (own.tmp / "cache").write_text("a file")
    told = f"cannot write {own.cache}: Not a directory; name another folder with --cache"
    assert told in own.refusal("http://127.0.0.1:9")
    npzs(own.tmp / "resources/own")
    assert own.prepare("http://127.0.0.1:9")["source"]["place"] == "resources"


def test_a_file_whose_content_alone_is_pinned_stays_only_if_it_is_right(own, server):
    pins = own.source["files"]
    own.source["files"] = {name: {} for name in pins}
    own.source["content"] = "0" * 64
    assert "/own/: the content is not the pinned one" in own.refusal(server.url)
    assert own.downloaded() == []
    del own.source["content"]
    own.source["content"] = own.refusal(server.url).split("key content: ")[1][:64]
    server.faults["/own/test.npz"] = ["cut"]
    own.prepare(server.url)
    assert own.downloaded() == ["test.npz", "train.npz"]


def test_a_damaged_cache_is_passed_by_and_mended(own, server, capsys):
    own.prepare(server.url)
    (own.cache / "train.npz").write_bytes(b"damaged")
    assert own.prepare(server.url)["source"]["place"] == "mirror"
    told = capsys.readouterr().err
    assert f"{own.cache}/train.npz is not the pinned file (sha256 " in told
    assert "; looking further" in told
    assert own.prepare()["source"]["place"] == "cache"


@pytest.mark.parametrize("pinned", [True, False])
def test_a_download_takes_the_place_of_no_file_of_a_users(own, server, pinned, capsys):
    if not pinned:
        own.source["files"] = {name: {} for name in own.source["files"]}
        own.source["content"] = own.refusal(server.url).split("key content: ")[1][:64]
    npzs(own.cache)
    (own.cache / "train.npz").write_bytes(b"mine")
    own.prepare(server.url)
    kept = f"train.npz.{hashlib.sha256(b'mine').hexdigest()[:12]}"
    assert own.downloaded() == ["test.npz", "train.npz", kept]
    assert (own.cache / kept).read_bytes() == b"mine"
    assert f"{own.cache}/train.npz is downloaded; what was there is kept as {kept}" in capsys.readouterr().err
    assert own.prepare()["source"]["place"] == "cache"


def test_one_line_tells_all_that_was_tried_and_what_to_put_where(own, server):
    own.source["urls"] = [NOWHERE]
    npzs(own.tmp / "b/own")
    (own.tmp / "b/own/test.npz").write_bytes(b"PK")
    refusal = own.refusal(own.tmp / "a", own.tmp / "b", f"{server.url}/nothing/")
    for part in (
        "data set 'own': no source works; tried: ",
        f"{own.cache} has no train.npz",
        f"{own.tmp}/a/own has no train.npz",
        f"{own.tmp}/b/own/test.npz is not the pinned file (sha256 ",
        f"{server.url}/nothing/own/train.npz: 404 ",
        f"{own.tmp}/resources/own has no train.npz",
        f"{NOWHERE}train.npz: ",
        "refused",
        f"Put train.npz, test.npz (official) into {own.cache}",
    ):
        assert part in refusal
