"""What each command takes, and what it calls; :mod:`doublemargin.cli` puts them together."""
