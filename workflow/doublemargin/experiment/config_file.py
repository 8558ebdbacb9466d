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
