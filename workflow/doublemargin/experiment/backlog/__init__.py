"""What of a report is still to be run, in which order, and running it until a time limit."""
