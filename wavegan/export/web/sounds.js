// Sounds as descriptions: a latent, shares of the labels, the seed of the noise, and a code to find them again.

const CODE = /^[0-9a-f]{1,8}(~\d{1,3}\.[0-9a-f]{1,8})*$/i;
const MIXED = "mix"; // stands in the code of a sound that no seed gives

const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0];
const seedText = (seed) => seed.toString(16).padStart(SEED_DIGITS, "0");
const oneHot = (label) => model.labels.map((_, place) => Number(place === label));

/** Returns the sound of a seed and label shares. */
function seededSound(seed, labels) {
  return { z: normalNumbers(seed, "latent", model.latentDim), labels, noise: seed, code: seedText(seed) };
}

/** Returns a neighbour: amount (0 to 1) is the share of another latent, in such a way that the length stays likely. */
function variedSound(sound, percent, seed) {
  const amount = percent / 100;
  const other = normalNumbers(seed, "latent", sound.z.length);
  const z = sound.z.map((number, place) => Math.sqrt(1 - amount * amount) * number + amount * other[place]);
  return { ...sound, z, code: `${sound.code}~${percent}.${seedText(seed)}` };
}

/** Returns the sound of a code such as 0000002a or 0000002a~30.00c0ffee; nothing if it is no code. */
function soundOfCode(code, labels) {
  if (!CODE.test(code)) return null;
  const [seed, ...steps] = code.split("~");
  return steps.reduce((sound, step) => {
    const [percent, other] = step.split(".");
    return variedSound(sound, Math.min(100, Number(percent)), parseInt(other, 16));
  }, seededSound(parseInt(seed, 16), labels));
}

/** Returns the sound at (x, y), both 0 to 1, between four: top left, top right, bottom left, bottom right. */
function mixedSound(corners, x, y) {
  const weights = [(1 - x) * y, x * y, (1 - x) * (1 - y), x * (1 - y)];
  const mean = (valueOf) => corners.reduce((sum, corner, k) => sum + weights[k] * valueOf(corner), 0);
  const means = (part) => corners[0][part].map((_, place) => mean((corner) => corner[part][place]));
  const length = (numbers) => Math.hypot(...numbers);
  const z = means("z");
  const wanted = mean((corner) => length(corner.z));
  const scale = wanted / (length(z) || 1); // a mean of latents is shorter than any of them, and sounds dull
  const code = weights.includes(1) ? corners[weights.indexOf(1)].code : MIXED;
  return { z: z.map((number) => scale * number), labels: means("labels"), noise: corners[0].noise, code };
}

/** Names a sound by its labels; "" if the model knows none. */
function soundName({ labels }) {
  const order = labels.map((share, place) => [share, model.labels[place]]).sort((left, right) => right[0] - left[0]);
  return order
    .filter(([share], place) => share > 0.2 || !place)
    .map(([, name]) => name)
    .slice(0, 2)
    .join(" + ");
}
