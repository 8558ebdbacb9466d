# No source file is an input: each is pinned by its content, so neither its age nor the place where it was found can
# change what is prepared, and looking elsewhere reruns nothing. Of a file without a pin the content is a parameter.
rule prepare_data:
    """A data set: images, labels and where they come from, checked against their pins."""
    output:
        DATA,
    log:
        "logs/data/{dataset}.log",
    benchmark:
        "logs/benchmarks/data/{dataset}.tsv"
    localrule: True  # on a cluster too: computing nodes often have no way out to download anything
    conda:
        "../../envs/data.yaml"
    resources:
        mem_mb=4000,
    params:
        spec=lambda w: json.dumps(data_spec(config, w.dataset)),
        # As it takes the output, a change of the places prepares nothing again.
        places=lambda w, output: shlex.join(config["data_places"]),
        unpinned=lambda w: unpinned(data_spec(config, w.dataset), w.dataset, config["data_places"]),
        dmcore=our_dmcore,
        code=lambda w: code_hash("doublemargin.experiment.sources", uses=data_spec(config, w.dataset)),
    shell:
        "{params.dmcore} data {wildcards.dataset} --spec {params.spec:q} --places {params.places}"
        " --out {output:q} > {log:q} 2>&1"
