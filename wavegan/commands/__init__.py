"""Runs each command by a function with plain arguments, so that a notebook can do the same."""
