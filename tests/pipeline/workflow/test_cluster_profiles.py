"""What a cluster's profile may rely on, seen without a cluster; tests/pipeline/slurm runs it on one."""

import re

import yaml
from test_config import ROOT

CELLS = "results/demo/mnist/small/dm/0.1/seed0/certify/ibp/linf/n4.json"


def resources(pipeline, *options):
    """Threads and resources of one certification, as a dry run tells them."""
    output = pipeline.run("-n", *options, "--forcerun", "certify", "--", CELLS)
    (block,) = re.findall(r"^rule certify:\n((?: .*\n)+)", output, flags=re.M)
    threads = re.search(r"threads: (\d+)", block)
    found = dict(re.findall(r"(gpu|mem_mb|runtime)=(\d+)", block))
    return {name: int(value) for name, value in found.items()} | {"threads": int(threads[1]) if threads else 1}


def test_resources_can_be_set(pipeline):
    assert resources(pipeline) == {"gpu": 1, "mem_mb": 4000, "runtime": 240, "threads": 1}
    options = ["--set-resources", "certify:mem_mb=1000+234*attempt", "certify:gpu=0", "--set-threads", "certify=2"]
    assert resources(pipeline, *options) == {"gpu": 0, "mem_mb": 1234, "runtime": 240, "threads": 2}


def test_the_slurm_profile_names_every_rule_that_wants_a_gpu():
    profile = yaml.safe_load((ROOT / "workflow/profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    rules = [
        rule
        for path in (ROOT / "workflow/rules").glob("*.smk")
        for rule in re.split(r"^ *rule\b", path.read_text(encoding="utf-8"), flags=re.M)[1:]
    ]
    assert set(profile["set-resources"]) == {re.match(r" (\w+):", rule)[1] for rule in rules if "gpu=" in rule}
    assert all(set(given) == {"mem_mb", "runtime"} for given in profile["set-resources"].values())
