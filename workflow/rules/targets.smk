# What is asked for by name is looked at before anything else: Snakemake itself would say "no rule to produce" it.
from snakemake.cli import get_argument_parser

from doublemargin.experiment.targets import check_target

# Snakemake tells its targets to the rules only after it has looked for them.
if MAIN and workflow.is_main_process and "snakemake" in (Path(sys.argv[0]).name, Path(sys.argv[0]).parent.name):
    try:
        named = [rule.name for rule in workflow.rules if not rule.has_wildcards()]
        for target in get_argument_parser().parse_known_args(sys.argv[1:])[0].targets:
            check_target(GRIDS, named, target)
    except UserError as error:
        raise WorkflowError(str(error)) from None
