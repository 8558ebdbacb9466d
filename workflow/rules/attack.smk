# What stands beside the certificates, made only where it is asked for: attacks by a panel or by name, the rest by name.


rule attack:
    """The points of a model that an attack breaks, at each ε that is certified: robust accuracy, bounded from above."""
    input:
        model=lambda w: model_for(ATTACKED, w),
        data=DATA,
    output:
        update(f"results/{ATTACKED}.json"),
    log:
        f"logs/attack/{RUN}/{{attack}}_{{norm}}_n{{points}}.log",
    benchmark:
        f"logs/benchmarks/attack/{RUN}/{{attack}}_{{norm}}_n{{points}}.tsv"
    priority: lambda w: ORDER.get(ATTACKED.format(**w), 0)
    conda:
        "../../envs/attack.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=240,
    params:
        eps=lambda w: eps_of(ATTACKED, w),
        points=points_of,
        where=where,
        dmcore=our_dmcore,
        code=lambda w: code_hash("doublemargin.experiment.jobs.attack", uses=[w.attack, w.arch]),
    shell:
        "{params.dmcore} attack --model {input.model:q} --data {input.data:q} --attack {wildcards.attack}"
        " --norm {wildcards.norm} --points {wildcards.points} {params.points} --eps {params.eps}"
        " --out {output:q} {params.where} > {log:q} 2>&1"


rule points:
    """Eight test points of a model, drawn: certified radius, smallest adversarial example found, their difference."""
    input:
        model=f"{MODEL}/model.safetensors",
        data=DATA,
    output:
        report(
            f"{MODEL}/points.png",
            caption="../report/points.rst",
            category="7 Points",
            subcategory="{schedule}",
            labels={"model": "{dataset} {arch}, {method} at ε = {eps_train}, seed {seed}"},
        ),
    log:
        f"logs/points/{RUN}.log",
    conda:
        "../../envs/points.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=240,
    params:
        points=points_of,
        clip=clip,
        where=where,
        dmcore=our_dmcore,
        code=lambda w: code_hash(
            "doublemargin.experiment.jobs.picture",
            "doublemargin.report.figures.points",
            uses=["pgd", "cnn-cert-relu", w.arch],
        ),
    shell:
        "{params.dmcore} picture --model {input.model:q} --data {input.data:q} {params.points}"
        " {params.clip} --out {output:q} {params.where} > {log:q} 2>&1"


rule radius:
    """The certified radius of each of a model's test points, by bisection."""
    input:
        model=f"{MODEL}/model.safetensors",
        data=DATA,
    output:
        f"results/{RADII}.json",
    log:
        f"logs/radius/{RUN}/{{certifier}}_{{norm}}_n{{points}}.log",
    benchmark:
        f"logs/benchmarks/radius/{RUN}/{{certifier}}_{{norm}}_n{{points}}.tsv"
    conda:
        "../../envs/certify.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=480,
    params:
        points=points_of,
        clip=clip,
        where=where,
        dmcore=our_dmcore,
        code=lambda w: code_hash("doublemargin.experiment.jobs.radius", uses=[w.certifier, w.arch]),
    shell:
        "{params.dmcore} radius --model {input.model:q} --data {input.data:q} --certifier {wildcards.certifier}"
        " --norm {wildcards.norm} --points {wildcards.points} {params.points} {params.clip}"
        " --out {output:q} {params.where} > {log:q} 2>&1"
