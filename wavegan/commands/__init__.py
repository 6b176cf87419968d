"""What each command does, with plain arguments, so that a notebook can do the same."""
