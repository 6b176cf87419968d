"""Sound: files, sources, corpus, windows and spectra; nothing of learning."""
