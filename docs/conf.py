"""Sphinx configuration: ``make docs``. The pages in ``docs/reference/`` are written from the code by each build."""

import subprocess
import sys
from pathlib import Path

from dmcore import __version__
from doublemargin.pages.results import write_figures

DOCS = Path(__file__).parent
GENERATED = ("architectures", "config", "results", "targets")

project, author = "doublemargin", "the doublemargin authors"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"{project} {version}"
autodoc_typehints_format = "short"
napoleon_use_ivar = True
napoleon_use_rtype = False
highlight_language = "bash"

(DOCS / "reference").mkdir(exist_ok=True)
for name in GENERATED:
    command = [sys.executable, "-m", "doublemargin", "info", f"--{name}"]
    page = subprocess.run(command, cwd=DOCS.parent, check=True, stdout=subprocess.PIPE, text=True).stdout
    target = DOCS / "reference" / f"{name}.md"
    if not target.exists() or target.read_text(encoding="utf-8") != page:
        target.write_text(page, encoding="utf-8")
write_figures(DOCS / "reference")
