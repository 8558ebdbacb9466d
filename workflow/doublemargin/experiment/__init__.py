"""From the config to results: what is to be computed, the jobs that do it, and where their results come from."""
