"""Writes trained models for use elsewhere, and reads them again."""
