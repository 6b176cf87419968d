"""Writes a generator as an instrument: one HTML file that makes and plays its sounds in the browser."""
