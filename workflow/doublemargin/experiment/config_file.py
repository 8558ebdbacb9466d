"""A config file as plain data, read more strictly than YAML asks for: a key that is there twice is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from dmcore.errors import UserError

YTE = "__use_yte__"
"""The key by which Snakemake would run a config file as a template, with Python code in it."""


def read_config(path: Path) -> Any:
    """What a config file says, not checked further.

    Raises:
        UserError: one line with the file, the line in it and what is wrong there: no YAML or not in UTF-8, a key that
            is there twice (YAML would take the last) or is no text, a template.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = _Strict(text).get_single_data()
    except FileNotFoundError as error:
        raise UserError(
            f"cannot read {path}: there is no such file; go to the folder that has it, or name it"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"cannot read {path}: line {line} is not in UTF-8; save the file in that encoding") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise UserError(f"cannot read {path}: {_told(error)}") from error
    except (ValueError, RecursionError) as error:  # a date such as 2020-13-45; lists in lists without end
        raise UserError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    if isinstance(content, dict) and YTE in content:
        raise UserError(f"{path}: '{YTE}' would run the file as a program: write out what it is to say")
    return content


def _told(error: yaml.YAMLError) -> str:
    """The line, and what YAML expected there."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return " ".join(str(error).split())
    mark, problem = error.problem_mark or error.context_mark, error.problem or error.context
    hint = "; indent with spaces, YAML takes no tabs" if r"'\t'" in str(problem) else ""
    return f"line {mark.line + 1}: {problem}{hint}"


class _Strict(yaml.SafeLoader):
    """Safe YAML whose mappings have text as keys, each once; a key taken over by ``<<`` may be said anew."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            mark = key.start_mark
            if key.tag not in ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"):
                shown = f"'{key.value}'" if isinstance(key, yaml.ScalarNode) else "there"
                raise yaml.MarkedYAMLError(problem=f"the key {shown} is not text: quote it", problem_mark=mark)
            if key.value in lines:
                problem = f"the key '{key.value}' is there twice, first in line {lines[key.value]}: remove one of them"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
            lines[key.value] = mark.line + 1
        return node
