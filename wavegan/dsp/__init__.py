"""Signal processing on tensors: spectra and the way back from them, mel bands, views of a clip, resampling."""
