"""Measures a training step, a plain step to compare it with, and the limits of the machine."""
