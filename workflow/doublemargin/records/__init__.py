"""Tidy records: what the result files of a schedule say, and what the paper reports, as tables. Needs no torch."""
