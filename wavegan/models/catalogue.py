"""The networks by the names that recipes use. A new one is a line here; its keys follow from its signature."""

from wavegan.models import mlp, specgan, spectrogram, wavegan
from wavegan.models.translator import Translator

GENERATORS = {
    "wavegan": wavegan.Generator,
    "specgan": specgan.Generator,
    "mlp": mlp.Generator,
    "translator": Translator,
}
DISCRIMINATORS = {
    "wavegan": wavegan.Discriminator,
    "specgan": specgan.Discriminator,
    "mlp": mlp.Discriminator,
    "spectrogram": spectrogram.Discriminator,
}
