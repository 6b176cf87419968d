// What is done to whole clips and measured of them; a clip is a Float32Array for each channel. Runs in the worker.

const SILENT_PEAK = 0.01; // below it a clip is not made louder
const END_DB = -60; // below a sound's peak, where it counts as over

/** Returns the weight of a map, the mean of the channels or a difference, in a channel: a cosine transform. */
function mixFactor(count, map, channel) {
  return Math.cos((map * (channel + 0.5) * Math.PI) / count) * Math.sqrt((map ? 2 : 1) / count);
}

/** Returns sums of parts, arrays of one length, weighted by `factor(sum, part)`: as many sums as parts. */
function weightedSums(parts, factor) {
  if (parts.length === 1) return parts;
  return parts.map((_, sum) => {
    const factors = parts.map((_, part) => factor(sum, part));
    return parts[0].map((_, place) => parts.reduce((total, part, at) => total + factors[at] * part[place], 0));
  });
}

const mixedChannels = (maps) => weightedSums(maps, (channel, map) => mixFactor(maps.length, map, channel));
const mapsOf = (channels) => weightedSums(channels, (map, channel) => mixFactor(channels.length, map, channel));

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
