"""The loop, its checkpoints and what it tells while it runs; no method or model is known here by name."""
