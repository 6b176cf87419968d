"""Networks with plain arguments; no recipe reaches this room."""
