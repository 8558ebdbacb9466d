"""Tools beside the library: exact margins, other verifiers' formats, and the paper's propositions."""
