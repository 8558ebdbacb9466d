rule prepare_data:
    input:
        lambda w: [f"resources/{w.dataset}/{name}.gz" for name in config["datasets"][w.dataset]["sha256"]],
    output:
        DATA,
    log:
        "logs/data/{dataset}.log",
    benchmark:
        "logs/benchmarks/data/{dataset}.tsv"
    conda:
        "../../envs/compute.yaml"
    params:
        spec=lambda w: json.dumps(config["datasets"][w.dataset]),
        source=lambda w, input: Path(input[0]).parent,
        code=code_hash("dmcore.data"),
    shell:
        "python -m dmcore data {wildcards.dataset} --spec {params.spec:q} --source {params.source:q}"
        " --out {output:q} > {log:q} 2>&1"
