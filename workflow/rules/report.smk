"""From results to what is read: records, tables, figures and pages."""

RECORDS = [f"results/{{schedule}}/{file}" for file in (*FILES.values(), SUMS)]
EXHIBIT = (
    "{params.dmcore} exhibit {params.exhibit} --config {params.config:q} --results {params.results:q} > {log:q} 2>&1"
)


# What is on record already, say from a clone or another machine, stays there unless it was made anew here.
rule collect:
    """All results of a schedule as tidy records: a line a model, a line a cell, every point's verdict."""
    input:
        lambda w: result_files(grid(w.schedule)),
    output:
        update(RECORDS),
    log:
        "logs/collect/{schedule}.log",
    localrule: True
    conda:
        "../../envs/tables.yaml"
    params:
        results=folder(1),
        out=folder(),
        dmcore=our_dmcore,
        code=code_hash("doublemargin.records.tidy"),
    shell:
        "{params.dmcore} collect --results {params.results:q} --schedule {wildcards.schedule}"
        " --out {params.out:q} > {log:q} 2>&1"


rule table:
    """One table of a schedule's report in five formats, and its comparison with the paper."""
    input:
        lambda w: exhibit_input(grid(w.schedule), "tables", w.table),
    output:
        multiext("results/{schedule}/tables/{table}", ".md", ".txt", ".tex", ".csv"),
        report(
            "results/{schedule}/tables/{table}.html",
            caption="../report/table.rst",
            category="2 Tables",
            subcategory="{schedule}",
            labels={"table": "{table}"},
        ),
        multiext("results/{schedule}/comparisons/{table}", ".md", ".csv"),
        report(
            "results/{schedule}/comparisons/{table}.html",
            caption="../report/comparison.rst",
            category="5 Comparison with the paper",
            subcategory="{schedule}",
            labels={"table": "{table}"},
        ),
    log:
        "logs/tables/{schedule}/{table}.log",
    localrule: True
    conda:
        "../../envs/tables.yaml"
    params:
        exhibit="{schedule}/tables/{table}",
        config=config_file,
        spec=lambda w: digest(exhibit_spec(grid(w.schedule), "tables", w.table)),
        files=lambda w: exhibit_contents(grid(w.schedule), "tables", w.table),
        results=folder(2),
        dmcore=our_dmcore,
        code=code_hash("doublemargin.report.make_tables"),
    shell:
        EXHIBIT


rule figure:
    """One figure of a schedule's report, in three formats."""
    input:
        lambda w: exhibit_input(grid(w.schedule), "figures", w.figure),
    output:
        report(
            "results/{schedule}/figures/{figure}.png",
            caption="../report/figure.rst",
            category="3 Figures",
            subcategory="{schedule}",
            labels={"figure": "{figure}"},
        ),
        multiext("results/{schedule}/figures/{figure}", ".svg", ".pdf"),
    log:
        "logs/figures/{schedule}/{figure}.log",
    localrule: True
    conda:
        "../../envs/tables.yaml"
    params:
        exhibit="{schedule}/figures/{figure}",
        config=config_file,
        spec=lambda w: digest(exhibit_spec(grid(w.schedule), "figures", w.figure)),
        files=lambda w: exhibit_contents(grid(w.schedule), "figures", w.figure),
        results=folder(2),
        dmcore=our_dmcore,
        code=lambda w: code_hash(figure.declared[grid(w.schedule).exhibit("figures", w.figure)["kind"]].module),
    shell:
        EXHIBIT


rule pages:
    """What of a schedule's report has been run, what that says to the paper's claims, and all its tables for LaTeX."""
    input:
        RECORDS,
    output:
        "results/{schedule}/overview.md",
        report(
            "results/{schedule}/overview.html",
            caption="../report/overview.rst",
            category="1 Overview",
            labels={"schedule": "{schedule}"},
        ),
        multiext("results/{schedule}/verdict", ".md", ".csv"),
        report(
            "results/{schedule}/verdict.html",
            caption="../report/verdict.rst",
            category="6 Verdict",
            labels={"schedule": "{schedule}"},
        ),
        "results/{schedule}/tables/all-tables.tex",
    log:
        "logs/pages/{schedule}.log",
    localrule: True
    conda:
        "../../envs/tables.yaml"
    params:
        exhibit="{schedule}",
        config=config_file,
        spec=lambda w: digest(report_spec(grid(w.schedule))),
        files=lambda w: report_contents(grid(w.schedule)),
        results=folder(1),
        dmcore=our_dmcore,
        code=code_hash("doublemargin.report.make_pages"),
    shell:
        EXHIBIT


rule history:
    """The course of a training, drawn: losses, accuracies, λ and ε, unstable ReLUs."""
    input:
        f"{MODEL}/training.json",
    output:
        report(
            f"{MODEL}/history.png",
            caption="../report/history.rst",
            category="4 Training histories",
            subcategory="{schedule}",
            # One label: with several, Snakemake's page goes blank where not all their combinations exist.
            labels={"model": "{dataset} {arch}, {method} at ε = {eps_train}, seed {seed}"},
        ),
    log:
        f"logs/history/{RUN}.log",
    localrule: True
    conda:
        "../../envs/tables.yaml"
    params:
        dmcore=our_dmcore,
        code=code_hash("doublemargin.report.histories"),
    shell:
        "{params.dmcore} history --record {input:q} --out {output:q} > {log:q} 2>&1"


rule tables:
    """All tables and figures of every schedule, and `results/report.html` with all of them, from what results/ holds;
    trains and certifies nothing.
    """
    log:
        "logs/tables.log",
    localrule: True
    conda:
        "../../envs/tables.yaml"
    params:
        config=config_file,
        dmcore=our_dmcore,
    shell:
        "{params.dmcore} report --config {params.config:q}"
        ' --results "$(dirname "$(dirname {log:q})")/results" > {log:q} 2>&1'
