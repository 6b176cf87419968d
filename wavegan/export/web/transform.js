// The Fourier transform of real frames and its inverse, as products with matrices. Runs in the worker.
//
// At the samples n, window / 2 - n, window / 2 + n and window - n a cosine is the same but for its sign, and so is a
// sine. So four samples are folded into one before a product, or unfolded after it, and matrices are a quarter as
// large. Even and odd bins differ in those signs, so there are four planes: real and imaginary parts of both.

class Transform {
  /** frames: how many are transformed at a time. isTwoWay: not only back from spectra. */
  constructor(kernel, window, frames, isTwoWay) {
    const half = window / 2;
    const folded = Math.floor(half / 2) + 1; // samples, and bins of a plane at most
    Object.assign(this, { kernel, window, frames, half, folded, bins: half + 1 });
    const angles = Array.from({ length: window }, (_, step) => (2 * Math.PI * step) / window);
    this.cosines = angles.map(Math.cos);
    this.sines = angles.map(Math.sin);
    const wave = (part, bin, sample) => {
      const step = (bin * sample) % window;
      return part ? -this.sines[step] : this.cosines[step];
    };
    const share = (bin) => (bin > half ? 0 : (bin % half ? 2 : 1) / window); // of a frame: inner bins stand for two
    const rows = upTo(KERNEL_ROWS, frames);
    this.planes = [0, 1, 2, 3].map((number) => {
      const [parity, part] = [number % 2, number >> 1];
      const binAt = (place) => 2 * place + parity;
      return {
        parity,
        part,
        forward: isTwoWay && kernel.layer(folded, folded, (place, sample) => wave(part, binAt(place), sample)),
        inverse: kernel.layer(
          folded,
          folded,
          (sample, place) => share(binAt(place)) * wave(part, binAt(place), sample),
        ),
        input: kernel.reserve(rows * folded),
        output: kernel.reserve(rows * upTo(KERNEL_COLUMNS, folded)),
      };
    });
  }

  /** Returns spectra (frames, bins, 2), real and imaginary parts, of frames that begin every `hop` numbers. */
  forward(numbers, hop) {
    this.fold(numbers, hop);
    const { kernel, frames, folded, half, bins } = this;
    const spectra = new Float32Array(frames * 2 * bins);
    for (const { parity, part, forward, input, output } of this.planes) {
      kernel.apply(forward, input, folded, frames, output);
      const said = kernel.view(output, frames * forward.columns);
      for (let frame = 0; frame < frames; frame++)
        for (let bin = parity; bin <= half; bin += 2)
          spectra[2 * (frame * bins + bin) + part] = said[frame * forward.columns + (bin >> 1)];
    }
    return spectra;
  }

  /** Writes the folded samples of all frames into the planes. */
  fold(numbers, hop) {
    const { kernel, window, frames, half, folded } = this;
    const [even, odd, evenSine, oddSine] = this.planes.map(({ input }) => kernel.view(input, frames * folded));
    for (let frame = 0; frame < frames; frame++) {
      const begin = frame * hop;
      for (let sample = 0; sample < folded; sample++) {
        const place = frame * folded + sample;
        const first = numbers[begin + sample];
        const last = sample ? numbers[begin + window - sample] : 0; // the first sample has no mirror
        if (2 * sample === half) {
          even[place] = first + last;
          oddSine[place] = first - last;
          odd[place] = evenSine[place] = 0;
          continue;
        }
        const before = numbers[begin + half - sample];
        const behind = sample ? numbers[begin + half + sample] : 0;
        even[place] = first + last + (before + behind);
        odd[place] = first + last - (before + behind);
        evenSine[place] = sample ? first - last - (before - behind) : 0;
        oddSine[place] = sample ? first - last + (before - behind) : 0;
      }
    }
  }

  /** Returns frames (frames, window) of spectra (frames, bins, 2). */
  inverse(spectra) {
    const { kernel, window, frames, half, folded, bins } = this;
    const [even, odd, evenSine, oddSine] = this.planes.map(({ parity, part, inverse, input, output }) => {
      const given = kernel.view(input, frames * folded);
      for (let frame = 0; frame < frames; frame++)
        for (let bin = parity; bin <= half; bin += 2)
          given[frame * folded + (bin >> 1)] = spectra[2 * (frame * bins + bin) + part];
      kernel.apply(inverse, input, folded, frames, output);
      return kernel.view(output, frames * inverse.columns);
    });
    const { columns } = this.planes[0].inverse;
    const waves = new Float32Array(frames * window);
    for (let frame = 0; frame < frames; frame++) {
      const begin = frame * window;
      for (let sample = 0; sample < folded; sample++) {
        const place = frame * columns + sample;
        const sum = even[place] + odd[place];
        const difference = even[place] - odd[place];
        waves[begin + half - sample] = difference - (evenSine[place] - oddSine[place]);
        waves[begin + half + sample] = difference + (evenSine[place] - oddSine[place]);
        if (sample) waves[begin + window - sample] = sum - (evenSine[place] + oddSine[place]);
        waves[begin + sample] = sum + (evenSine[place] + oddSine[place]);
      }
    }
    return waves;
  }
}
