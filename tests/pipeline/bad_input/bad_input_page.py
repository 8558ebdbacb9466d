"""docs/bad-input.md, from the lists of mistakes: ``python tests/pipeline/bad_input/bad_input_page.py`` writes it."""

from pathlib import Path

import around
import in_calls
import in_config
import in_files
import in_snakemake
import on_the_command_line

from doublemargin.experiment.pages.markdown import table

PAGE = Path(__file__).parents[3] / "docs/bad-input.md"
INTRODUCTION = """# Bad input: what is refused, and how

Written by `python tests/pipeline/bad_input/bad_input_page.py` from the lists in `tests/pipeline/bad_input/`; a test
makes each of these mistakes.

A mistake gets one line that says what is wrong and what mends it, never a traceback. dmcore then exits with 2,
Snakemake with 1. Nothing is started, no file is made and none is changed. In the lines below `<…>` stands for what
differs from case to case, `…` in a command for the rest of it. A traceback all the same is a bug of ours: please report
it.
"""
GROUPS = {
    in_config: (
        in_config.MISTAKES,
        "Made in `config.yaml`; what is shown was said by `dmcore spec demo`. Snakemake says the same.",
    ),
    in_snakemake: (
        in_snakemake.REAL + in_snakemake.TARGETS,
        "Snakemake prints the line below `WorkflowError`, with the place in the workflow that found it. What it reads "
        "before our rules, it answers itself, some of that with a traceback of its own: `--config schedule` without a "
        "value, `--configfile` with a file that is not there or no YAML.",
    ),
    on_the_command_line: (on_the_command_line.MISTAKES, ""),
    in_files: (in_files.MISTAKES, ""),
    around: (around.MISTAKES + around.REAL, ""),
    in_calls: (
        in_calls.MISTAKES,
        "Each raises `dmcore.errors.UserError`; `net` takes `x`, four images of 28×28 with labels `y`.",
    ),
}


def page():
    """The whole page."""
    parts = [INTRODUCTION]
    for module, (mistakes, words) in GROUPS.items():
        parts += [f"## {module.TITLE}\n", *([f"{words}\n"] if words else [])]
        config = module is in_config
        rows = [
            [m.what, *([] if config else [code(m.command)]), code(m.says.removeprefix("dmcore: error: "))]
            for m in mistakes
        ]
        parts.append(table(["mistake", *([] if config else ["command"]), "line"], rows))
    parts += ["## What looks like a mistake and is none\n"]
    parts.append(
        table(["", "command", "what happens"], [[what, code(run), told] for what, run, _, told in around.HARMLESS])
    )
    return "\n".join(parts)


def code(text):
    """As Markdown shows it word for word."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written: {PAGE}")
