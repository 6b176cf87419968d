"""Computes losses and the penalties that are added to them, with pure functions of tensors."""
