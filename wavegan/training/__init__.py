"""Trains any method: the loop, its checkpoints and its reports; no method or model is named here."""
