// Drops, the noise of wavegan/models/drops.py that comes in bursts. Runs in the worker.

const SPARSEST = 3; // the highest exponent
const BURST = 8; // as a part of a hop, how long a burst is
const LOG_RMS = [-0.4654, 0.5688, -0.1214, 0.0112]; // of an exponent and its powers: the logarithm of a level
const LEAST_LOUDNESS = 1e-6; // a smaller one counts as this

/** Returns the frames of drops of each map, one after another. white: noise of each map. exponents: of each frame. */
function dropFrames(white, window, hop, exponents) {
  const span = Math.max(1, Math.floor(hop / BURST));
  return mapsOf(mixedChannels(white).map((noise) => burstFrames(noise, window, hop, span, exponents)));
}

/** Returns frames of a noise times its loudness around to the exponent of the frame, at the same power. */
function burstFrames(noise, window, hop, span, exponents) {
  const logarithm = (mean) => Math.log(Math.max(LEAST_LOUDNESS, Math.abs(mean) * Math.sqrt(span)));
  const loudness = meansAround(noise, span).map(logarithm);
  const frames = new Float32Array(exponents.length * window);
  exponents.forEach((exponent, frame) => {
    const logRms = LOG_RMS.reduceRight((sum, factor) => exponent * (factor + sum), 0);
    const own = Math.log1p((2 * exponent) / span) / 2; // the noise is a part of its loudness
    for (let place = 0; place < window; place++) {
      const sample = frame * hop + place;
      const gain = Math.exp(exponent * loudness[sample] - logRms - own);
      frames[frame * window + place] = (sample % 2 ? -1 : 1) * noise[sample] * gain;
    }
  });
  return frames;
}

/** Returns the means of the `span` numbers around each number; beyond the ends are zeros. */
function meansAround(numbers, span) {
  const [before, { length }] = [span >> 1, numbers];
  const sums = new Float64Array(length + 1);
  for (let place = 0; place < length; place++) sums[place + 1] = sums[place] + numbers[place];
  const sumBelow = (place) => sums[Math.min(Math.max(0, place), length)];
  return Float64Array.from(numbers, (_, at) => (sumBelow(at - before + span) - sumBelow(at - before)) / span);
}
