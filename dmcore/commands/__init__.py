"""What each command takes, and what it calls; :mod:`dmcore.cli` puts them together."""
