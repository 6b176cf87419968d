"""Finds new sounds from given ones: neighbours, steps between two, and the latent whose clip is nearest to a sound."""
