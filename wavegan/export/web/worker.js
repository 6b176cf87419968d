// Makes sounds when the page asks for them. Runs in a worker, so that the page never waits.

const FLOOR_DB = -80; // of a picture
let generator;

const tasks = {
  /** Takes the model, its weights and the kernel, both as base64. */
  begin({ model, weights, kernel }) {
    generator = new Generator(new Kernel(bytesOf(kernel)), model, tensorsOf(bytesOf(weights)));
    return {};
  },

  /** Makes a sound: the samples of each channel, its picture, and the offset of its ways, null without ways. */
  make({ z, labels, noise, ways, pitch }) {
    const began = performance.now();
    const offset = generator.offset(labels, ways);
    const clip = generator.make(z, labels, drawnNoise(generator.model, noise), offset, pitch);
    return { clip, offset, milliseconds: performance.now() - began, picture: pictured(clip) };
  },
};

onmessage = ({ data: { number, task, content } }) => {
  try {
    postMessage({ number, result: tasks[task](content) });
  } catch (error) {
    postMessage({ number, error: String(error) });
  }
};

function bytesOf(base64) {
  const letters = atob(base64);
  const bytes = new Uint8Array(letters.length);
  for (let place = 0; place < bytes.length; place++) bytes[place] = letters.charCodeAt(place); // from() takes seconds
  return bytes;
}

/** Reads the tensors of a safetensors file, float16 or float32, by name as float32. */
function tensorsOf(bytes) {
  const view = new DataView(bytes.buffer);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, start)));
  const tensor = ({ dtype, data_offsets: [from, to] }) => {
    const { buffer } = bytes.slice(start + from, start + to);
    return dtype === "F16" ? singles(new Uint16Array(buffer)) : new Float32Array(buffer);
  };
  return Object.fromEntries(Object.entries(header).map(([name, entry]) => [name, tensor(entry)]));
}

/** Widens the bits of finite float16 numbers to float32; not all browsers of today have Float16Array. */
function singles(halves) {
  const steps = Array.from({ length: 32 }, (_, exponent) => 2 ** (Math.max(exponent, 1) - 25));
  const numbers = new Float32Array(halves.length);
  for (let place = 0; place < halves.length; place++) {
    const [exponent, fraction] = [(halves[place] >> 10) & 31, halves[place] & 1023];
    const size = steps[exponent] * (exponent ? 1024 + fraction : fraction);
    numbers[place] = halves[place] & 0x8000 ? -size : size;
  }
  return numbers;
}

/** Adds up draws of noise: a row for each block, then one of white noise for each channel, and one for the pitch. */
function drawnNoise({ stages, frames, channels, window, hop, pitchNumbers }, draws) {
  const samples = (frames - 1) * hop + window;
  const lengths = stages.map((stage) => stage.length);
  const rows = [...lengths, channels * samples, pitchNumbers].map((count, place) => {
    const sum = new Float32Array(count);
    for (const [seed, weight] of draws)
      normalNumbers(seed, `noise ${place}`, count).forEach((number, at) => (sum[at] += weight * number));
    return sum;
  });
  const pitch = rows.pop();
  const white = rows.pop();
  for (let channel = 0; channel < channels; channel++)
    rows.push(white.subarray(channel * samples, (channel + 1) * samples));
  return [...rows, pitch];
}

/** Measures a clip: levels of its spectrogram from 0 (-80 dB) to 255 (0 dB), length in seconds, brightness in Hz. */
function pictured(clip) {
  const { model } = generator;
  const { bins, transform, before } = generator.short;
  const first = model.edge / model.hop;
  const frames = model.frames - 2 * first; // of the clip
  const sound = new Float32Array((model.frames - 1) * model.hop + model.window);
  for (const samples of clip) samples.forEach((sample, place) => (sound[before + place] += sample / clip.length));
  const spectra = transform.forward(sound, model.hop);
  const levels = new Uint8Array(frames * bins);
  let [power, moment] = [0, 0];
  for (let frame = 0; frame < frames; frame++) {
    const pairs = spectra.subarray(2 * (first + frame) * bins, 2 * (first + frame + 1) * bins);
    for (let bin = 1; bin < bins - 1; bin++) {
      const part = 2 * bin; // a Hann window over samples is this sum over neighbouring bins
      const real = pairs[part] / 2 - (pairs[part - 2] + pairs[part + 2]) / 4;
      const imaginary = pairs[part + 1] / 2 - (pairs[part - 1] + pairs[part + 3]) / 4;
      const square = (real * real + imaginary * imaginary) / (model.window / 4) ** 2;
      levels[frame * bins + bin] = Math.max(0, Math.min(255, 255 * (1 - (10 * Math.log10(square)) / FLOOR_DB)));
      power += square;
      moment += square * bin;
    }
  }
  const brightness = power ? ((moment / power) * model.sampleRate) / model.window : 0;
  return { levels, frames, bins, seconds: endOf(clip) / model.sampleRate, brightness };
}
