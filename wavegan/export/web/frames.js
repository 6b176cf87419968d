// The frames of one length, from features to sound: wavegan/models/spectral_frames.py and spectral_head.py for one clip.
// Runs in the worker.

const LOUDNESS_GAIN = 4;
const LONGEST_RING = 5; // of pulses, a part of the unit of pitches
const GLOTTAL = 8; // cycles a unit, where pulses swell before their peak
const BROAD = 9; // bins, over whose mean level hiss may not rise

const GOLDEN = (Math.sqrt(5) - 1) / 2;

const softplus = (number) => (number > 20 ? number : Math.log1p(Math.exp(number)));

class Frames {
  /** factor: how many times longer than the model's window and hop, 0 for the short frames themselves. */
  constructor(kernel, model, tensors, factor = 0) {
    const times = factor || 1;
    const weights = (name) => tensors[factor ? `long_frames.${name}` : name];
    [this.window, this.hop] = [times * model.window, times * model.hop];
    Object.assign(this, { kernel, clipSamples: model.clipSamples, isDetuned: model.detunedBins, unit: model.pitchUnit });
    [this.rings, this.isGlottal] = [model.pitchNumbers > 0, model.glottal];
    this.filters = model.filteredPulses && !factor; // complex numbers filter pulses, in place of steady sines
    this.bins = this.window / 2 + 1;
    this.frames = Math.ceil((model.clipSamples + 2 * model.edge) / this.hop);
    this.before = Math.floor((this.window - this.hop) / 2) + model.edge; // samples that are made before the clip
    this.maps = weights("head.bias").length / model.channels; // of each frame and channel
    [this.startLevels, this.bounds] = [weights("start_levels"), weights("bounds")];
    this.advances = weights("advances"); // of tuned bins only
    this.addLayers(model.dim, weights("head.weight"), weights("head.bias"), factor);
  }

  /** Stores the head and the transform of its frames; long ones are only transformed back. */
  addLayers(dim, weight, bias, factor) {
    const { kernel, window, hop } = this;
    const rows = upTo(KERNEL_ROWS, this.frames);
    const weightAt = (column, input) => weight[column * dim + input];
    this.head = kernel.layer(bias.length, dim, weightAt, (column) => bias[column]);
    this.transform = new Transform(kernel, window, this.frames, !factor);
    const hann = this.transform.cosines.map((cosine) => 0.5 - 0.5 * cosine);
    const squares = hann.reduce((sum, height) => sum + height * height, 0);
    this.synthesis = hann.map((height) => (((window / 4) * hop) / squares) * height);
    this.turn = this.turns();
    this.sourcePhases = this.isGlottal ? glottalPhases(window, this.unit) : new Float64Array(this.bins);
    this.headMaps = kernel.reserve(rows * this.head.columns);
  }

  /** Returns cosine and sine of the phase that a sine in each bin has gathered, frame after frame. */
  turns() {
    const { bins, frames, window, hop, advances } = this;
    const turn = new Float32Array(2 * frames * bins);
    for (let bin = 0; bin < bins; bin++) {
      const isInner = bin > 0 && bin < bins - 1;
      const offset = this.isDetuned && isInner ? ((GOLDEN * bin * bin) % 1) - 0.5 : 0;
      for (let frame = 0; frame < frames; frame++) {
        const centred = (2 * Math.PI * ((frame * (bin + offset) * hop) % window)) / window;
        const angle = advances ? frame * advances[bin] : centred;
        turn.set([Math.cos(angle), Math.sin(angle)], 2 * (frame * bins + bin));
      }
    }
    return turn;
  }

  /** Computes what the head says of features at an address, `stride` numbers from frame to frame. */
  say(features, stride) {
    this.kernel.apply(this.head, features, stride, this.frames, this.headMaps);
  }

  /** Makes the sound of one channel, see `shaped`. */
  sound(channel, sources, broad, pulse) {
    return this.synthesized(this.shaped(channel, sources, broad, pulse));
  }

  /**
   * Shapes sources into the spectra of one channel. sources: spectra of noise; the first `broad` of them are kept below
   * the mean level around. pulse: spectra of pulses, undefined where there are none.
   */
  shaped(channel, sources, broad, pulse) {
    const { kernel, bins, frames, turn } = this;
    const startLevels = this.startLevels.subarray(channel * bins);
    const bounds = this.bounds.subarray(channel * bins);
    const spectra = new Float32Array(frames * 2 * bins);
    const levels = new Float32Array(bins);
    for (let frame = 0; frame < frames; frame++) {
      const maps = kernel.view(this.headMaps + 4 * (frame * this.head.columns + channel * this.maps), this.maps);
      for (let bin = 0; bin < bins; bin++) {
        const room = bounds[bin] - startLevels[bin] - maps[1 + bin] - LOUDNESS_GAIN * maps[0];
        levels[bin] = bounds[bin] - softplus(room);
      }
      const phases = pulse && this.rings ? this.ringing(levels) : null;
      for (let bin = 0; bin < bins; bin++) {
        const [real, imaginary] = [maps[1 + bins + bin], maps[1 + 2 * bins + bin]];
        const pulseShare = pulse && !this.filters ? maps[1 + (3 + sources.length) * bins + bin] : 0;
        const place = 2 * (frame * bins + bin);
        const [pulseX, pulseY] = pulse ? turned(pulse[place], pulse[place + 1], phases?.[bin]) : [0, 0];
        const [cosine, sine] = this.filters ? [pulseX, pulseY] : [turn[place], turn[place + 1]];
        let x = real * cosine - imaginary * sine;
        let y = real * sine + imaginary * cosine;
        let squares = 1 + real * real + imaginary * imaginary + pulseShare * pulseShare;
        const factor = broad ? hissFactor(levels, bin) : 1;
        for (let source = 0; source < sources.length; source++) {
          const share = maps[1 + (3 + source) * bins + bin];
          const heard = source < broad ? share * factor : share;
          x += heard * sources[source][place];
          y += heard * sources[source][place + 1];
          squares += share * share;
        }
        const amplitude = Math.exp(levels[bin]) / Math.sqrt(squares);
        spectra[place] = amplitude * (x + pulseShare * pulseX);
        spectra[place + 1] = amplitude * (y + pulseShare * pulseY);
      }
    }
    return spectra;
  }

  /** Returns the phases of the minimum-phase filter with these levels, and of a glottis, of all bins. */
  ringing(levels) {
    const { window, unit, bins } = this;
    const { cosines, sines } = this.transform;
    const longest = Math.floor(unit / LONGEST_RING);
    const phases = this.sourcePhases.slice();
    for (let time = 1; time < longest; time++) {
      let cepstrum = 0;
      for (let bin = 0; bin < bins; bin++)
        cepstrum += (bin === 0 || bin === bins - 1 ? 1 : 2) * levels[bin] * cosines[(bin * time) % window];
      const weight = (cepstrum / window) * (1 + Math.cos((Math.PI * time) / longest));
      for (let bin = 0; bin < bins; bin++) phases[bin] -= weight * sines[(bin * time) % window];
    }
    return phases;
  }

  /** Returns by what each sample is multiplied, as fewer frames reach the ends of a clip. */
  evenness() {
    const { window, hop, frames } = this;
    const reached = new Float64Array((frames - 1) * hop + window);
    for (let frame = 0; frame < frames; frame++)
      this.transform.cosines.forEach((cosine, sample) => (reached[frame * hop + sample] += 0.5 - 0.5 * cosine));
    return reached.slice(this.before, this.before + this.clipSamples).map((sum) => window / (2 * hop) / sum);
  }

  /** Transforms spectra back and adds up the frames. */
  synthesized(spectra) {
    const { frames, synthesis, window, hop } = this;
    const waves = this.transform.inverse(spectra);
    const sound = new Float32Array((frames - 1) * hop + window);
    for (let frame = 0; frame < frames; frame++)
      for (let sample = 0; sample < window; sample++)
        sound[frame * hop + sample] += synthesis[sample] * waves[frame * window + sample];
    return sound.slice(this.before, this.before + this.clipSamples);
  }
}

/** Returns the phases that let pulses swell before their peak, of all bins. */
function glottalPhases(window, unit) {
  const [radius, angle] = [Math.exp((-Math.PI * GLOTTAL) / unit), (2 * Math.PI * GLOTTAL) / unit];
  const phases = new Float64Array(window / 2 + 1);
  for (let bin = 0; bin < phases.length; bin++) {
    const place = (2 * Math.PI * bin) / window;
    const turn = (away) => 2 * Math.atan2(radius * Math.sin(away), 1 - radius * Math.cos(away));
    phases[bin] = 2 * place + turn(place - angle) + turn(place + angle);
  }
  return phases;
}

/** Returns a complex number whose phase is larger by so many radians. */
function turned(x, y, phase = 0) {
  const [cosine, sine] = [Math.cos(phase), Math.sin(phase)];
  return [x * cosine - y * sine, x * sine + y * cosine];
}

/** Computes by what a bin's hiss is multiplied, so that no peak raises it; levels: natural logarithms, of all bins. */
function hissFactor(levels, bin) {
  const reach = (BROAD - 1) / 2;
  const [first, end] = [Math.max(0, bin - reach), Math.min(levels.length, bin + reach + 1)];
  let sum = 0;
  for (let near = first; near < end; near++) sum += levels[near];
  return Math.exp(Math.min(0, sum / (end - first) - levels[bin]));
}
