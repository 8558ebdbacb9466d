"""The tidy records' sums: every changed byte is named, a kill between two writes is none, and sha256sum agrees."""

import shutil
import subprocess
from pathlib import Path

import pytest
from flips import every_flip_is_named, named
from results_folder import COUNTS, same, write_results
from test_config import ROOT

from dmcore.errors import UserError
from dmcore.files import write_bytes
from doublemargin.records import tidy as module
from doublemargin.records.columns import FILES, SUMS
from doublemargin.records.sums import Sums
from doublemargin.records.tidy import collect, read_records, write_records


@pytest.fixture
def folder(tmp_path):
    write_results(tmp_path, {("dm", "0.3"): COUNTS["dm", "0.3"]})
    write_records(collect(tmp_path, "demo"), tmp_path / "demo")
    return tmp_path / "demo"


def check(folder):
    sums = Sums(folder)
    for name in FILES.values():
        sums.check(folder / name, (folder / name).read_bytes())


@pytest.mark.parametrize("file", FILES.values())
def test_every_byte(folder, file):
    told = ("into another folder (dmcore collect)", f"git stash push -- {folder}")
    every_flip_is_named(folder / file, lambda: check(folder), *told)


def test_every_byte_of_the_sums(folder):
    every_flip_is_named(folder / SUMS, lambda: check(folder), "gather the result files again", name=SUMS)


@pytest.mark.parametrize("file", [*FILES.values(), SUMS])
def test_who_reads_the_records_checks_them(folder, file):
    places = (5, 40, (folder / file).stat().st_size - 1)
    every_flip_is_named(folder / file, lambda: read_records(folder), places=places, name=SUMS)


def test_sha256sum_reads_and_writes_the_same(folder):
    def run(command):
        return subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=False)

    assert run(f"sha256sum -c {SUMS}").stdout == "".join(f"{file}: OK\n" for file in FILES.values())
    (folder / "training.csv").write_bytes((folder / "training.csv").read_bytes() + b"\n")
    with pytest.raises(UserError) as error:
        read_records(folder)
    renew = str(error.value).split("after an edit that is meant: ")[1]
    assert run(renew).returncode == 0
    read_records(folder)


def test_records_without_sums_are_refused(folder):
    (folder / SUMS).unlink()
    with named(
        folder / SUMS,
        "is missing",
        "gather the result files again",
        f"cd {folder} && sha256sum training.csv certified_accuracy.csv",
    ):
        read_records(folder)


def test_a_merge_conflict_in_the_sums_is_named(folder):
    text = (folder / SUMS).read_text()
    (folder / SUMS).write_text(f"<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n")
    with named(folder / SUMS, "'<<<<<<< HEAD' is no file's sum"):
        read_records(folder)


def test_damaged_records_of_the_pipeline_are_put_aside_and_gathered_again(folder, tmp_path, monkeypatch):
    """Twice: nothing that was put aside is lost."""
    monkeypatch.chdir(tmp_path)
    records = Path("results/demo")
    shutil.copytree(folder, records)
    for aside in ("aside1", "aside2"):
        (records / "training.csv").write_bytes(f"damaged before {aside}".encode())
        with pytest.raises(UserError) as error:
            read_records(records)
        gather, _, then = str(error.value).partition("again: ")[2].partition("; ")[0].rpartition(" && ")
        assert gather == f"mkdir results/demo/{aside} && mv results/demo/training.csv results/demo/{aside}"
        assert then == "snakemake --cores 1 tables"
        subprocess.run(gather, shell=True, check=True)
        write_records(collect(tmp_path, "demo"), records)
        assert (records / aside / "training.csv").read_text() == f"damaged before {aside}"


def test_a_file_that_was_removed_is_gathered_again(folder, capsys):
    records = read_records(folder)
    (folder / "verdicts.csv.gz").unlink()
    assert read_records(folder).verdicts.empty
    assert "verdicts.csv.gz is gone, though there is a sum of it" in capsys.readouterr().err
    write_records(records, folder)
    assert same(read_records(folder), records)


@pytest.mark.parametrize("writes", range(6))
def test_a_kill_between_any_two_writes_leaves_records_that_can_be_read(folder, tmp_path, writes, monkeypatch):
    old = read_records(folder)
    write_results(tmp_path, COUNTS)
    new = collect(tmp_path, "demo")
    left = iter(range(writes))

    def write(path, content):
        if next(left, None) is None:
            raise KeyboardInterrupt
        write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(module, "write_bytes", write)
        patch.setattr("doublemargin.records.sums.write_bytes", write)
        if writes < 5:  # the sums, three files that change, the sums
            with pytest.raises(KeyboardInterrupt):
                write_records(new, folder)
        else:
            write_records(new, folder)
    found = read_records(folder)
    for name in FILES:
        assert any(getattr(found, name).equals(getattr(records, name)) for records in (old, new))
    write_records(new, folder)
    assert same(read_records(folder), new)
    assert (folder / SUMS).read_text().count("\n") == len(FILES)


def test_the_records_in_the_repository_are_whole(tmp_path):
    """And in git as they are: no line ending was changed."""
    shutil.copytree(ROOT / "results/short", tmp_path / "short")
    assert len(read_records(tmp_path / "short").training) > 0
