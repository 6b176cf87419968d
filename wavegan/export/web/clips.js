// What is done to whole clips and measured of them; a clip is a Float32Array for each channel. Runs in the worker.

const SILENT_PEAK = 0.01; // below it a clip is not made louder
const END_DB = -60; // below a sound's peak, where it counts as over

/** Turns the mean of the channels and their differences into channels, by a cosine transform. */
function mixedChannels(maps) {
  const count = maps.length;
  if (count === 1) return maps;
  return maps.map((_, channel) => {
    const factors = maps.map((_, row) => {
      const cosine = Math.cos((row * (channel + 0.5) * Math.PI) / count);
      return cosine * Math.sqrt((row ? 2 : 1) / count);
    });
    return maps[0].map((_, sample) => maps.reduce((sum, map, row) => sum + factors[row] * map[sample], 0));
  });
}

function peakOf(clip) {
  let peak = 0;
  for (const samples of clip) for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
  return peak;
}

/** Gives a clip a peak of 1 if all clips that the generator learned from had it; else only if it is louder. */
function limited(clip, peaksAreOne) {
  const peak = peakOf(clip);
  const divisor = peaksAreOne ? (peak > SILENT_PEAK ? peak : 1) : Math.max(peak, 1);
  return clip.map((samples) => samples.map((sample) => sample / divisor));
}

/** Counts the samples until a clip is over for good. */
function endOf(clip) {
  const least = peakOf(clip) * 10 ** (END_DB / 20);
  return Math.max(0, ...clip.map((samples) => samples.findLastIndex((sample) => Math.abs(sample) > least) + 1));
}
