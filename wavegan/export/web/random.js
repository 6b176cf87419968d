// Random numbers that a seed and a purpose always give again. Runs in the page and in its worker.

const SEED_DIGITS = 8; // hexadecimal

/** Spreads the bits of a 32-bit number (the finaliser of MurmurHash3). */
function scattered(bits) {
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}

/** Returns a function that gives uniform numbers above 0 and below 1: xoshiro128** (Blackman and Vigna 2018). */
function uniformNumbers(seed, purpose) {
  let start = scattered(seed);
  for (const letter of purpose) start = scattered(start ^ letter.codePointAt(0));
  const [s0, s1, s2, s3] = [1, 2, 3, 4].map((place) => scattered(start + Math.imul(place, 0x9e3779b9)));
  const state = Uint32Array.of(s0, s1, s2, s3 | 1); // never all zeros
  const rotated = (bits, by) => (bits << by) | (bits >>> (32 - by));
  return () => {
    const bits = Math.imul(rotated(Math.imul(state[1], 5), 7), 9) >>> 0;
    const shifted = state[1] << 9;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= shifted;
    state[3] = rotated(state[3], 11);
    return (bits + 0.5) / 2 ** 32;
  };
}

/** Returns `count` standard normal numbers (Box and Muller 1958). */
function normalNumbers(seed, purpose, count) {
  const uniform = uniformNumbers(seed, purpose);
  const numbers = new Float32Array(count);
  for (let place = 0; place < count; place += 2) {
    const radius = Math.sqrt(-2 * Math.log(uniform()));
    const angle = 2 * Math.PI * uniform();
    numbers[place] = radius * Math.cos(angle);
    if (place + 1 < count) numbers[place + 1] = radius * Math.sin(angle);
  }
  return numbers;
}
