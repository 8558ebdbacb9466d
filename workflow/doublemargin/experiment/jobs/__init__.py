"""The jobs behind the pipeline's rules: read inputs, call one function, write results with their provenance."""
