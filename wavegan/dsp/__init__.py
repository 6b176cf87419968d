"""Processes signals: spectra and their inverse, mel bands, views of a clip, resampling."""
