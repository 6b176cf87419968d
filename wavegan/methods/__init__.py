"""Who learns what in one step: each method is a list of phases."""
