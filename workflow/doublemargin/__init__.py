"""The pipeline's own Python: what the rules call.

- :mod:`doublemargin.experiment`: config, grid, jobs, sources of data, and what is still to be run
- :mod:`doublemargin.report`: records, tables, figures and the paper's claims

:mod:`doublemargin.cli` is the command line.
"""
