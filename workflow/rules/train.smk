# Trainings go before certifications, so that none is left to run alone at the end; `dmcore next` has an order of its own.
rule train:
    """A trained model: its weights, and the record of the training."""
    input:
        # A function: a model that the config does not describe is refused before anything starts.
        lambda w: DATA.format(dataset=spec_of(w).dataset_name),
    output:
        model=f"{MODEL}/model.safetensors",
        record=f"{MODEL}/training.json",
    log:
        f"logs/train/{RUN}.log",
    benchmark:
        f"logs/benchmarks/train/{RUN}.tsv"
    priority: lambda w: ORDER.get(RUN.format(**w), 10)
    conda:
        "../../envs/train.yaml"
    threads: 1
    resources:
        gpu=1,
        mem_mb=4000,
        runtime=240,
    params:
        spec=lambda w: json.dumps(spec_of(w).to_dict()),
        where=how,
        dmcore=our_dmcore,
        code=lambda w: code_hash("doublemargin.experiment.jobs.train", uses=spec_of(w).uses),
    shell:
        "{params.dmcore} train --spec {params.spec:q} --data {input:q} --model {output.model:q}"
        " --record {output.record:q} {params.where} > {log:q} 2>&1"
