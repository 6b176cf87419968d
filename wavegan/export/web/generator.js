// The generator of wavegan/models/inverse_stft.py, for one sound at a time. Runs in the worker.
// Activations are (time, channels) with channels padded to a multiple of eight, as the kernel wants them.

const FRAMES_SEEN = 5; // by a convolution
const SLOPE = 0.2; // of leaky ReLUs
const PULSE_BAND = 0.2; // the width of the pulses' spectrum, in cycles a sample
const REACH = 2.5; // times the bend, octaves by which the activations move a drawn pitch
const MOST_MOVED = 0.2; // octaves, and no more than these
const LAG_UNITS = 3; // of pitches, within which the changes of a drawn pitch are measured
const OCTAVE = 2; // in the row of drawn pitches that blocks see
const LEAST_HEIGHT = -40; // of a pulse, as a natural logarithm: below it, it is silent

const leaky = (number) => (number < 0 ? SLOPE * number : number);

class Generator {
  /** model: the page's description of it. tensors: its weights by name. */
  constructor(kernel, model, tensors) {
    Object.assign(this, { kernel, model, tensors });
    this.wide = upTo(KERNEL_COLUMNS, model.dim);
    this.sharedDim = model.latentDim - model.localLatents * model.localParts; // of the latent, for the whole clip
    this.short = new Frames(kernel, model, tensors);
    this.frames = this.short.frames;
    if (model.longFrames) this.long = new Frames(kernel, model, tensors, model.longFrames);
    this.evenness = this.long?.evenness();
    this.addLayers();
    this.addBuffers();
  }

  addLayers() {
    const { labels, stages, unbounded } = this.model;
    const { wide } = this;
    const mapped = this.tensors["latent.bias"].length;
    this.latent = this.linear("latent", mapped, this.sharedDim + labels.length);
    this.mapping = this.linear("mapping.1", mapped, mapped);
    this.start = this.linear("start", wide * (unbounded ? 1 : stages[0].length), mapped, wide);
    this.blocks = stages.map((stage, place) => ({
      stage,
      first: this.convolution(`blocks.${place}.first`),
      last: this.convolution(`blocks.${place}.last`),
      modulation: this.linear(`blocks.${place}.modulation`, 2 * wide, mapped, wide),
      gain: this.tensors[`blocks.${place}.gain`],
      pitchGain: this.tensors[`blocks.${place}.pitch_gain`],
    }));
  }

  /** Stores a matrix. Where outputs come in groups of dim, as many as `group` are reserved for each. */
  linear(name, outputs, inputs, group = 0) {
    const [weight, bias] = [this.tensors[`${name}.weight`], this.tensors[`${name}.bias`]];
    const { dim } = this.model;
    const row = (column) => {
      if (!group) return column;
      return column % group < dim ? Math.floor(column / group) * dim + (column % group) : -1;
    };
    const weightAt = (column, input) => (row(column) < 0 ? 0 : weight[row(column) * inputs + input]);
    return this.kernel.layer(outputs, inputs, weightAt, (column) => (row(column) < 0 ? 0 : bias[row(column)]));
  }

  /** Stores a convolution over five frames as a matrix whose input is all channels of all five. */
  convolution(name) {
    const [weight, bias] = [this.tensors[`${name}.weight`], this.tensors[`${name}.bias`]];
    const { dim } = this.model;
    const { wide } = this;
    const weightAt = (output, input) => {
      const [frame, channel] = [Math.floor(input / wide), input % wide];
      return channel < dim ? weight[(output * FRAMES_SEEN + frame) * dim + channel] : 0;
    };
    return this.kernel.layer(dim, FRAMES_SEEN * wide, weightAt, (output) => bias[output]);
  }

  addBuffers() {
    const rows = upTo(KERNEL_ROWS, Math.max(...this.model.stages.map((stage) => stage.length)));
    const reserve = (count) => this.kernel.reserve(count);
    this.input = reserve(this.sharedDim + this.model.labels.length);
    this.w = reserve(KERNEL_ROWS * this.latent.columns);
    this.v = reserve(KERNEL_ROWS * Math.max(this.latent.columns, this.start.columns, 2 * this.wide));
    this.padded = reserve((rows + FRAMES_SEEN) * this.wide); // with frames of zeros before and after
    this.h = reserve(rows * this.wide);
  }

  /** Returns what ways along directions add to the mapped latent, as wavegan/steering/directions.py; null for none. */
  offset(labels, ways) {
    if (!Object.keys(ways).length) return null;
    const sum = new Float32Array(this.tensors["latent.bias"].length);
    for (const [name, way] of Object.entries(ways)) {
      const rows = this.tensors[`direction.${name}`];
      (labels.length ? labels : [1]).forEach((share, label) => {
        for (let place = 0; share && place < sum.length; place++)
          sum[place] += way * share * rows[label * sum.length + place];
      });
    }
    return sum;
  }

  /** Makes a clip, a Float32Array for each channel. noise: as `drawnNoise` gives it. pitch: in Hz; null for a drawn one. */
  make(z, labels, noise, offset, pitch) {
    const { model, short, long } = this;
    const pitches = model.pitchNumbers ? this.drawnPitches(noise.at(-1), labels, pitch) : null;
    const { last, slow } = this.activations(z, labels, noise, offset, pitches);
    const x = this.activate(last);
    short.say(this.padded, this.wide);
    const gate = long && this.gate(x);
    const [first] = model.stages;
    const pulses = model.pulses ? this.pulses(x, pitches?.slice(first.margin * first.stride)) : undefined;
    const white = noise.slice(this.blocks.length, this.blocks.length + model.channels);
    const drops = model.drops && dropFrames(white, model.window, model.hop, this.exponents(x));
    const hiss = white.map((numbers) => this.spectra(numbers, model.hop));
    const maps = hiss.map((own, channel) => {
      const sources = [own];
      if (model.pannedHiss) sources.push(hiss.at(channel - 1));
      if (drops) sources.push(this.spectra(drops[channel], model.window));
      return short.sound(channel, sources, model.broadSources, pulses);
    });
    if (long) this.addSteady(maps, slow, gate);
    return limited(mixedChannels(maps), model.peaksAreOne);
  }

  /** Writes activated features to `padded`, and returns them. */
  activate(x) {
    const activated = this.kernel.view(this.padded, x.length);
    for (let place = 0; place < x.length; place++) activated[place] = leaky(x[place]);
    return activated;
  }

  /** Adds what long frames make to the sound of the short ones, as far as the gate is open. */
  addSteady(maps, slow, gate) {
    this.activate(slow);
    this.long.say(this.padded, this.wide);
    maps.forEach((sound, channel) => {
      const steady = this.long.sound(channel, [], 0);
      for (let sample = 0; sample < sound.length; sample++)
        sound[sample] += this.evenness[sample] * gate[sample] * steady[sample];
    });
  }

  /** Computes the gate of every sample: a share of 0 to 1 in the middle of a frame, and between two middles both. */
  gate(x) {
    const { hop, clipSamples, edge } = this.model;
    const shares = this.said("long_frames.gate", x).map((said) => 1 / (1 + Math.exp(-LOUDNESS_GAIN * said)));
    return Float32Array.from({ length: clipSamples }, (_, sample) => {
      const place = (edge + sample + Math.floor(1.5 * hop)) / hop - 2; // in frames, from the middle of the first
      const before = Math.floor(place);
      const part = 0.5 - 0.5 * Math.cos(Math.PI * (place - before));
      return (1 - part) * shares[Math.max(0, before)] + part * shares[Math.min(before + 1, shares.length - 1)];
    });
  }

  /** Returns what the blocks say, (frames, channels): the last, and what the first with enough says to long frames. */
  activations(z, labels, noise, offset, drawn) {
    const { kernel, model, wide, sharedDim } = this;
    const input = kernel.view(this.input, sharedDim + labels.length);
    input.set(z.slice(0, sharedDim));
    labels.forEach((share, place) => (input[sharedDim + place] = model.labelLength * share));
    kernel.apply(this.latent, this.input, 0, 1, this.v); // a stride of 0 repeats the one row
    this.addLeaky(this.v, this.latent.columns);
    kernel.apply(this.mapping, this.v, 0, 1, this.w);
    this.addLeaky(this.w, this.latent.columns);
    const w = kernel.view(this.w, this.latent.columns);
    offset?.forEach((number, place) => (w[place] += number));
    kernel.apply(this.start, this.w, 0, 1, this.v);
    let x = kernel.view(this.v, this.start.columns).slice();
    x = this.placed(x, z);
    let slow;
    const pitches = drawn && this.pitchRow(drawn);
    this.blocks.forEach((block, place) => {
      const { size, begin, length, margin, stride } = block.stage;
      x = resized(x, size, wide).slice(begin * wide, (begin + length) * wide);
      this.addBlock(x, block, noise[place], pitches && this.seen(pitches, block.stage));
      const frames = length - 2 * margin; // within the clip
      if (!this.long || slow || frames < this.long.frames) return;
      const enough = Math.min(frames, Math.ceil((this.long.frames * model.longFrames) / stride));
      slow = resized(x.slice(margin * wide, (margin + enough) * wide), this.long.frames, wide);
    });
    const { margin } = model.stages.at(-1);
    return { last: x.slice(margin * wide, (margin + this.frames) * wide), slow };
  }

  /** Returns the frames that a block has of a row of pitches, one for each hop. */
  seen(row, { length, stride, margin }) {
    if (!margin) return resized(row, length, 1);
    const [first] = this.model.stages;
    const begin = (first.margin * first.stride) / stride - margin;
    return resized(row, row.length / stride, 1).slice(begin, begin + length);
  }

  /** Returns what the blocks begin with: x, what the latent says of each place or of all, with what it says of parts. */
  placed(x, z) {
    const { dim, localLatents, localParts, unbounded, stages } = this.model;
    if (!localLatents) return x;
    const [weight, bias] = [this.tensors["local.weight"], this.tensors["local.bias"]];
    const said = new Float32Array(localParts * this.wide);
    for (let part = 0; part < localParts; part++) {
      const first = this.sharedDim + part * localLatents;
      for (let channel = 0; channel < dim; channel++) {
        let sum = bias[channel] + (unbounded ? x[channel] : 0);
        for (let k = 0; k < localLatents; k++) sum += weight[channel * localLatents + k] * z[first + k];
        said[part * this.wide + channel] = sum;
      }
    }
    if (unbounded) return said;
    const places = resized(said, stages[0].length, this.wide);
    return x.map((number, place) => number + places[place]);
  }

  addLeaky(address, count) {
    const numbers = this.kernel.view(address, count);
    for (let place = 0; place < count; place++) numbers[place] = leaky(numbers[place]);
  }

  /** Adds to x what a block says of it. */
  addBlock(x, { stage, first, last, modulation, gain, pitchGain }, noise, pitches) {
    const { kernel, wide } = this;
    const frames = stage.length;
    const { dim } = this.model;
    kernel.apply(modulation, this.w, 0, 1, this.v);
    const modulations = kernel.view(this.v, 2 * wide);
    const padded = kernel.view(this.padded, (frames + FRAMES_SEEN - 1) * wide);
    const middle = padded.subarray(2 * wide, (2 + frames) * wide);
    padded.fill(0);
    for (let place = 0; place < x.length; place++) middle[place] = leaky(x[place]);
    kernel.apply(first, this.padded, wide, frames, this.h);
    const h = kernel.view(this.h, frames * wide);
    for (let frame = 0; frame < frames; frame++) {
      for (let channel = 0; channel < dim; channel++) {
        const place = frame * wide + channel;
        let noisy = h[place] + gain[channel] * noise[frame];
        if (pitches) noisy += pitchGain[channel] * pitches[frame];
        middle[place] = leaky(noisy * (1 + modulations[channel]) + modulations[wide + channel]);
      }
    }
    kernel.apply(last, this.padded, wide, frames, this.h);
    for (let place = 0; place < x.length; place++) x[place] += h[place];
  }

  /** Returns what a layer of one output says of each frame. */
  said(name, x) {
    const { frames, wide } = this;
    const [weight, [bias]] = [this.tensors[`${name}.weight`], this.tensors[`${name}.bias`]];
    const said = new Float64Array(frames).fill(bias);
    for (let frame = 0; frame < frames; frame++) {
      for (let channel = 0; channel < this.model.dim; channel++)
        said[frame] += weight[channel] * x[frame * wide + channel];
    }
    return said;
  }

  /** Returns the spectra of frames of a noise, one every `hop` numbers; with a power of 1, a bin has 2. */
  spectra(noise, hop) {
    const factor = Math.sqrt(2 / this.model.window);
    return this.short.transform.forward(noise, hop).map((number) => factor * number);
  }

  /** Returns the exponents of drops, one of each frame. */
  exponents(x) {
    return this.said("drops.exponent", x).map((said) => SPARSEST / (1 + Math.exp(-LOUDNESS_GAIN * said)));
  }

  /** Returns what the activations say of each frame's pitch, averaged over the frames around. */
  pitches(x) {
    const said = this.said("pitch", x);
    const reach = (this.model.pitchSpan - 1) / 2;
    return said.map((_, frame) => {
      const around = said.subarray(Math.max(0, frame - reach), frame + reach + 1);
      return around.reduce((sum, pitch) => sum + pitch, 0) / around.length;
    });
  }

  /**
   * Returns the pitch that normal numbers give each frame, as wavegan/models/pitches.py does, in octaves.
   * pitch: the clip's own, in Hz; null if the first number says it.
   */
  drawnPitches(numbers, labels, pitch) {
    const [bend] = this.tensors["drawn_pitches.bend"];
    const { pitchUnit, sampleRate } = this.model;
    const base = pitch === null ? this.ownPitch(numbers[0], labels) : Math.log2((pitch * pitchUnit) / sampleRate);
    const [first] = this.model.stages;
    const frames = first.margin ? first.length * first.stride : this.frames;
    const span = numbers.length - frames;
    const height = (at) => (at < 0 || at >= span ? 0 : 0.5 - 0.5 * Math.cos((2 * Math.PI * (at + 1)) / (span + 2)));
    const taper = Array.from({ length: span }, (_, at) => height(at));
    const lag = Math.floor((LAG_UNITS * this.model.pitchUnit) / this.model.hop);
    const size = Math.hypot(...Array.from({ length: span + lag }, (_, at) => height(at - lag) - height(at)));
    return Float64Array.from({ length: frames }, (_, frame) => {
      const sum = taper.reduce((total, factor, at) => total + factor * numbers[1 + frame + at], 0);
      return base + (bend * sum) / size;
    });
  }

  /** Returns a clip's own pitch, in octaves, which a normal number chooses from the quantiles. */
  ownPitch(number, labels) {
    const own = this.pitchQuantiles(labels);
    const place = (0.5 + 0.5 * errorFunction(number / Math.SQRT2)) * (own.length - 1);
    const before = Math.min(Math.floor(place), own.length - 2);
    return own[before] + (place - before) * (own[before + 1] - own[before]);
  }

  /** Returns the quantiles of a clip's own pitch, those of its labels. */
  pitchQuantiles(labels) {
    const [own, above] = [this.tensors["drawn_pitches.own"], this.tensors["drawn_pitches.of_labels"]];
    return Float64Array.from(own, (pitch, place) =>
      labels.reduce((sum, share, label) => sum + share * above[label * own.length + place], pitch),
    );
  }

  /** Returns drawn pitches as blocks see them. */
  pitchRow(drawn) {
    const own = this.tensors["drawn_pitches.own"];
    const mean = own.reduce((sum, pitch) => sum + pitch, 0) / own.length;
    return Float32Array.from(drawn, (pitch) => OCTAVE * (pitch - mean));
  }

  /** Returns the spectra of a pulse train whose pitch the activations say or move, as wavegan/models/pulses.py does. */
  pulses(x, drawn) {
    const { frames } = this;
    const { window, hop, pitchUnit } = this.model;
    const [low, high] = this.model.pitchBounds;
    const reach = drawn && Math.min(MOST_MOVED, REACH * this.tensors["drawn_pitches.bend"][0]);
    const pitches = this.pitches(x);
    const moves = pitches.map((pitch) => reach * Math.tanh(pitch));
    const centre = this.model.centredPitch ? moves.reduce((sum, move) => sum + move, 0) / frames : 0;
    const waves = new Float32Array(frames * window);
    let [middle, before] = [0, 0]; // of a frame, in cycles; and the cycles a sample of the frame before
    for (let frame = 0; frame < frames; frame++) {
      const octaves = drawn
        ? Math.min(high, Math.max(low, drawn[frame] + moves[frame] - centre))
        : low + (high - low) / (1 + Math.exp(-pitches[frame]));
      const cycles = 2 ** octaves / pitchUnit;
      if (frame) middle = (middle + ((cycles + before) * hop) / 2) % 1;
      before = cycles;
      const sharpness = (PULSE_BAND / cycles) ** 2;
      const gain = ((Math.sqrt(2 * Math.PI) * PULSE_BAND) / (2 * cycles)) * Math.sqrt(2 * cycles * window);
      for (let sample = 0; sample < window; sample++) {
        const phase = middle + cycles * (sample - window / 2);
        const height = sharpness * (Math.cos(2 * Math.PI * phase) - 1);
        waves[frame * window + sample] = height < LEAST_HEIGHT ? 0 : gain * Math.exp(height);
      }
    }
    const spectra = this.short.transform.forward(waves, window);
    for (let bin = 0; bin < this.short.bins; bin++) {
      const whitening = (Math.exp((bin / (PULSE_BAND * window)) ** 2 / 2) * 2) / window;
      for (let frame = 0; frame < frames; frame++) {
        spectra[2 * (frame * this.short.bins + bin)] *= whitening;
        spectra[2 * (frame * this.short.bins + bin) + 1] *= whitening;
      }
    }
    return spectra;
  }
}

/** Returns the error function, by its series. */
function errorFunction(number) {
  let [term, sum] = [number, number];
  for (let place = 1; place < 120; place++) {
    term *= -(number ** 2) / place;
    sum += term / (2 * place + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

/** Interpolates frames (time, channels) between neighbours, to another number of frames. */
function resized(x, frames, channels) {
  const before = x.length / channels;
  if (frames === before) return x;
  const result = new Float32Array(frames * channels);
  for (let frame = 0; frame < frames; frame++) {
    const place = Math.max(0, ((frame + 0.5) * before) / frames - 0.5);
    const left = Math.floor(place);
    const right = Math.min(left + 1, before - 1);
    const share = place - left;
    for (let channel = 0; channel < channels; channel++)
      result[frame * channels + channel] =
        (1 - share) * x[left * channels + channel] + share * x[right * channels + channel];
  }
  return result;
}
