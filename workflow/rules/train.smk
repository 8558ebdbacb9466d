rule train:
    input:
        DATA,
    output:
        model=f"{MODEL}/model.safetensors",
        record=f"{MODEL}/training.json",
    params:
        spec=spec_of,
        code=code_hash("dmcore.jobs.train"),
    log:
        "logs/train/{schedule}/{dataset}/{arch}/{method}/{eps_train}/seed{seed}.log",
    benchmark:
        "logs/benchmarks/train/{schedule}/{dataset}/{arch}/{method}/{eps_train}/seed{seed}.tsv"
    conda:
        "../../envs/compute.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=240,
    shell:
        "python -m dmcore train --spec {params.spec:q} --data {input:q} --model {output.model:q}"
        " --record {output.record:q} --threads {threads} > {log:q} 2>&1"
