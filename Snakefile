# The pipeline: data → training → certification → records → tables and figures.
#
#   snakemake --cores all demo       four methods on MNIST, a few minutes on a laptop
#   snakemake --cores all trial      two epochs of every method on its data sets
#   snakemake --cores all            everything in the report of config.yaml's `schedule`
#   snakemake --cores 1 tables       all of every schedule from the records in results/; trains and certifies nothing

from snakemake.utils import min_version

min_version("9.17")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/certify.smk"
include: "workflow/rules/attack.smk"
include: "workflow/rules/report.smk"


rule all:
    """Everything that the report of config.yaml's `schedule` shows, training and certifying what it needs."""
    input:
        exhibit_files(grid(config["schedule"])),


rule certified:
    """What `all` trains and certifies, without records, tables and figures."""
    input:
        result_files(grid(config["schedule"])),


rule demo:
    """What `all` makes, for the schedule `demo`: four methods on MNIST, a few minutes on a laptop."""
    input:
        lambda w: exhibit_files(grid("demo")),


rule trial:
    """What `all` makes, for the schedule `trial`: two epochs of every method on its data sets."""
    input:
        lambda w: exhibit_files(grid("trial")),
