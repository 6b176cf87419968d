"""Handles sound: files, sources, the corpus, clips cut from it, and augmentations."""
