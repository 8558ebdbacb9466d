"""The paper's claims, each tested against our records."""
