# One job certifies one model at all ε that the report asks of it; ε that are asked for later are added to the file.
rule certify:
    """The verdicts and margins of one model's test points, at each ε that the report asks for."""
    input:
        model=lambda w: model_for(CERTIFIED, w),
        data=DATA,
    output:
        update(f"results/{CERTIFIED}.json"),
    log:
        f"logs/certify/{RUN}/{{certifier}}_{{norm}}_n{{points}}.log",
    benchmark:
        f"logs/benchmarks/certify/{RUN}/{{certifier}}_{{norm}}_n{{points}}.tsv"
    priority: lambda w: ORDER.get(CERTIFIED.format(**w), 0)
    conda:
        "../../envs/certify.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=240,
    params:
        eps=lambda w: eps_of(CERTIFIED, w),
        points=points_of,
        clip=clip,
        intersect=lambda w: "--intersect-ibp" if grid(w.schedule).certification["intersect_ibp"] else "",
        where=where,
        dmcore=our_dmcore,
        code=lambda w: code_hash("doublemargin.experiment.jobs.certify", uses=[w.certifier, w.arch]),
    shell:
        "{params.dmcore} certify --model {input.model:q} --data {input.data:q} --certifier {wildcards.certifier}"
        " --norm {wildcards.norm} --points {wildcards.points} {params.points} --eps {params.eps}"
        " {params.clip} {params.intersect} --out {output:q} {params.where} > {log:q} 2>&1"
