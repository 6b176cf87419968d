"""Defines the networks, which take plain arguments; no module here knows a recipe."""
