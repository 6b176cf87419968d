"""Lists the networks by the names that recipes use. A new one needs a line here; its keys come from its signature."""

from wavegan.models import inverse_stft, mean_spectrum, mlp, specgan, spectrogram, tiled, tiled_spectrum, wavegan
from wavegan.models.translator import Translator

GENERATORS = {
    "wavegan": wavegan.Generator,
    "specgan": specgan.Generator,
    "mlp": mlp.Generator,
    "translator": Translator,
    "inverse_stft": inverse_stft.Generator,
}
DISCRIMINATORS = {
    "wavegan": wavegan.Discriminator,
    "specgan": specgan.Discriminator,
    "mlp": mlp.Discriminator,
    "spectrogram": spectrogram.Discriminator,
    "tiled_spectrum": tiled_spectrum.SpectralDiscriminator,
    "tiled_texture": tiled_spectrum.TextureDiscriminator,
    "mean_spectrum": mean_spectrum.Discriminator,
    "tiled_waveform": tiled.WaveformDiscriminator,
}
