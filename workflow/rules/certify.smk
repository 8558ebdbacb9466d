# One job certifies one model at all ε that the tables ask of it with this norm and number of points, and writes one file
# for each ε. The lists of ε differ, so there is a rule for each; certifiers and models are wildcards.

for suite in SUITES:

    rule:
        """The verdicts and margins of one model's test points at one ε; one job does all ε."""
        name:
            suite.name
        input:
            model=f"{MODEL}/model.safetensors",
            data=DATA,
        output:
            expand(CELL, norm=suite.norm, points=suite.points, eps=suite.eps, allow_missing=True),
        log:
            f"logs/certify/{RUN}/{{certifier}}_{suite.norm}_n{suite.points}.log",
        benchmark:
            f"logs/benchmarks/certify/{RUN}/{{certifier}}_{suite.norm}_n{suite.points}.tsv"
        wildcard_constraints:
            schedule="|".join(suite.schedules),
            dataset=suite.dataset,
            method="|".join(suite.methods),
        priority: in_order(f"{RUN}/certify/{{certifier}}/{suite.norm}/n{suite.points}", otherwise=0)
        conda:
            "../../envs/certify.yaml"
        threads: 1
        resources:
            **COMPUTE,
            gpu=1,
            mem_mb=4000,
            runtime=240,
        params:
            eps=suite.eps,
            norm=suite.norm,
            points=suite.points,
            seed=config["certification"]["points_seed"],
            clip="--clip-input" if config["certification"]["clip_input"] else "",
            intersect="--intersect-ibp" if config["certification"]["intersect_ibp"] else "",
            folder=lambda w, output: Path(output[0]).parent,
            dmcore=our_dmcore,
            code=lambda w: code_hash("doublemargin.experiment.jobs.certify", uses=[w.certifier, w.arch]),
        shell:
            "{params.dmcore} certify --model {input.model:q} --data {input.data:q} --certifier {wildcards.certifier}"
            " --norm {params.norm} --points {params.points} --points-seed {params.seed} --eps {params.eps}"
            " {params.clip} {params.intersect} --out {params.folder:q}"
            " --threads {threads} --device {resources.device:q} --gpu-slots {resources.gpu_slots:q} > {log:q} 2>&1"
