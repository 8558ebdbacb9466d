"""Training: one loop, objectives composed from a method's description."""
