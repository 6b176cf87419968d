"""Trains generative adversarial networks on raw audio and makes clips with them."""

__version__ = "0.1.0"
