"""Defines the training methods: each lists the phases of a step, and each phase says which networks learn and how."""
