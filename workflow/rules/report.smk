RECORDS = ["results/{schedule}/training.csv", "results/{schedule}/certified_accuracy.csv"]


localrules:
    all,
    demo,
    trial,
    tables,
    collect,
    table,
    figure,
    history,


rule collect:
    """All results of a schedule as two tidy tables, a line for each model and each certification."""
    input:
        lambda w: [f"results/{model}/training.json" for model in GRIDS[w.schedule].model_paths()],
        lambda w: [f"results/{cell}.json" for cell in GRIDS[w.schedule].cell_paths()],
    output:
        RECORDS,
    log:
        "logs/collect/{schedule}.log",
    conda:
        "../../envs/tables.yaml"
    params:
        code=code_hash("dmcore.report.records"),
    shell:
        "python -m dmcore collect --results results --schedule {wildcards.schedule}"
        " --out results/{wildcards.schedule} > {log:q} 2>&1"


rule table:
    """One table of a schedule's report, in five formats."""
    input:
        RECORDS,
    output:
        multiext("results/{schedule}/tables/{table}", ".md", ".txt", ".tex", ".csv"),
        report(
            "results/{schedule}/tables/{table}.html",
            caption="../report/table.rst",
            category="Tables",
            labels={"schedule": "{schedule}", "table": "{table}"},
        ),
    log:
        "logs/tables/{schedule}/{table}.log",
    conda:
        "../../envs/tables.yaml"
    params:
        spec=lambda w: exhibit_of("tables", w.schedule, [w.table]),
        code=code_hash("dmcore.report.tables", "dmcore.report.render"),
    shell:
        "python -m dmcore tables --spec {params.spec:q} --records results/{wildcards.schedule}"
        " --out results/{wildcards.schedule}/tables > {log:q} 2>&1"


rule figure:
    """One figure of a schedule's report, in two formats."""
    input:
        RECORDS,
    output:
        report(
            "results/{schedule}/figures/{figure}.png",
            caption="../report/figure.rst",
            category="Figures",
            labels={"schedule": "{schedule}", "figure": "{figure}"},
        ),
        "results/{schedule}/figures/{figure}.svg",
    log:
        "logs/figures/{schedule}/{figure}.log",
    conda:
        "../../envs/tables.yaml"
    params:
        spec=lambda w: exhibit_of("figures", w.schedule, [w.figure]),
        code=code_hash("dmcore.report.figures"),
    shell:
        "python -m dmcore figures --spec {params.spec:q} --records results/{wildcards.schedule}"
        " --out results/{wildcards.schedule}/figures > {log:q} 2>&1"


rule history:
    """The course of a training, drawn: losses, accuracies, λ and ε, unstable ReLUs."""
    input:
        f"{MODEL}/training.json",
    output:
        report(
            f"{MODEL}/history.png",
            caption="../report/history.rst",
            category="Training histories",
            subcategory="{schedule}",
            labels={
                "data": "{dataset}",
                "network": "{arch}",
                "method": "{method}",
                "ε_train": "{eps_train}",
                "seed": "{seed}",
            },
        ),
    log:
        f"logs/history/{RUN}.log",
    conda:
        "../../envs/tables.yaml"
    params:
        code=code_hash("dmcore.report.histories"),
    shell:
        "python -m dmcore history --record {input:q} --out {output:q} > {log:q} 2>&1"


# From the records alone: it asks for no model and no certification, so it never starts any.
rule tables:
    """Tables and figures of `schedule` from the records in results/, as far as they go; trains and certifies nothing."""
    log:
        "logs/tables.log",
    conda:
        "../../envs/tables.yaml"
    params:
        tables=lambda w: exhibit_of("tables", config["schedule"], GRIDS[config["schedule"]].exhibits("tables")),
        figures=lambda w: exhibit_of("figures", config["schedule"], GRIDS[config["schedule"]].exhibits("figures")),
        folder=f"results/{config['schedule']}",
    shell:
        "(python -m dmcore tables --spec {params.tables:q} --records {params.folder:q} --out {params.folder:q}/tables"
        " && python -m dmcore figures --spec {params.figures:q} --records {params.folder:q}"
        " --out {params.folder:q}/figures) > {log:q} 2>&1"
