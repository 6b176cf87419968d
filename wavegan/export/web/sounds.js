// Sounds as descriptions: a latent, shares of the labels, draws of noise, ways, and a code to find them again.
// A draw is [seed, weight]; the noise is the sum of all draws, and their squared weights add up to 1.
// Ways say how far a sound is moved along the model's directions, -1 to 1 by name; what is not moved has none.

const CODE = /^[0-9a-f]{1,8}(~(\d{1,3}\.[0-9a-f]{1,8}|[a-z]+[+-][01](\.\d{1,2})?))*$/i;
const MOVE = /^([a-z]+)([+-][01](?:\.\d{1,2})?)$/;
const MOVES = /~[a-z]+[+-][\d.]+/g; // of a code
const MIXED = "mix"; // stands in the code of a sound that no seed gives
const MOST_DRAWS = 16;

const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0];
const seedText = (seed) => seed.toString(16).padStart(SEED_DIGITS, "0");
const lengthOf = (numbers) => Math.hypot(...numbers);
const oneHot = (label) => model.labels.map((_, place) => Number(place === label));

const plain = ({ z, labels, noise, ways, code }) => ({ z, labels, noise, ways, code });

/** Returns the sound of a seed and label shares. */
function seededSound(seed, labels) {
  const z = normalNumbers(seed, "latent", model.latentDim);
  return { z, labels, noise: [[seed, 1]], ways: {}, code: seedText(seed) };
}

/** Returns a neighbour: its latent turned by percent of the way to another one, as wavegan/steering/points.py does. */
function variedSound(sound, percent, seed) {
  const { z } = sound;
  const other = normalNumbers(seed, "latent", z.length);
  const cosine = z.reduce((sum, number, place) => sum + number * other[place], 0) / (lengthOf(z) * lengthOf(other));
  const angle = Math.acos(Math.max(-1 + 1e-6, Math.min(1 - 1e-6, cosine)));
  const share = (part) => Math.sin((part / 100) * angle) / Math.sin(angle);
  const scale = lengthOf(z) / lengthOf(other);
  const turned = z.map((number, place) => share(100 - percent) * number + share(percent) * scale * other[place]);
  return { ...plain(sound), z: turned, code: `${sound.code}~${percent}.${seedText(seed)}` };
}

/** Returns a sound moved to ways along the model's directions, wherever it was moved before. */
function movedSound(sound, ways) {
  const moved = Object.entries(ways).filter(([, way]) => way);
  const steps = moved.map(([name, way]) => `~${name}${way < 0 ? "" : "+"}${way}`);
  return { ...plain(sound), ways: Object.fromEntries(moved), code: sound.code.replace(MOVES, "") + steps.join("") };
}

/** Returns the sound of a code such as 2a, 2a~30.c0ffee or 2a~length+0.5; nothing if it is no code of this model. */
function soundOfCode(code, labels) {
  if (!CODE.test(code)) return null;
  const [seed, ...steps] = code.split("~");
  let sound = seededSound(parseInt(seed, 16), labels);
  for (const step of steps) {
    const [percent, other] = step.split(".");
    const [, name, way] = MOVE.exec(step) ?? [];
    if (name && !(model.directions.includes(name) && Math.abs(way) <= 1)) return null;
    sound = name
      ? movedSound(sound, { ...sound.ways, [name]: Number(way) })
      : variedSound(sound, Math.min(100, Number(percent)), parseInt(other, 16));
  }
  return sound;
}

/** Returns the sound at (x, y), both 0 to 1, between four: top left, top right, bottom left, bottom right. */
function mixedSound(corners, x, y) {
  const weights = [(1 - x) * y, x * y, (1 - x) * (1 - y), x * (1 - y)];
  const mean = (valueOf) => corners.reduce((sum, corner, k) => sum + weights[k] * valueOf(corner), 0);
  const means = (part) => corners[0][part].map((_, place) => mean((corner) => corner[part][place]));
  const z = means("z");
  const scale = mean((corner) => lengthOf(corner.z)) / (lengthOf(z) || 1); // a mean of latents is shorter, and dull
  const noise = mixedNoise(corners.map((corner) => corner.noise), weights);
  const ways = Object.fromEntries(model.directions.map((name) => [name, mean((corner) => corner.ways[name] ?? 0)]));
  const code = weights.includes(1) ? corners[weights.indexOf(1)].code : MIXED;
  return { z: z.map((number) => scale * number), labels: means("labels"), noise, ways: waysOf(ways), code };
}

/** Leaves out directions that are not this model's, or along which nothing is moved. */
function waysOf(ways) {
  return Object.fromEntries(Object.entries(ways).filter(([name, way]) => way && model.directions.includes(name)));
}

/** Mixes draws of noise by shares, so that the noise stays as loud. */
function mixedNoise(noises, shares) {
  const sums = new Map();
  noises.forEach((draws, place) => {
    for (const [seed, weight] of draws) sums.set(seed, (sums.get(seed) ?? 0) + weight * Math.sqrt(shares[place]));
  });
  const draws = [...sums].filter(([, weight]) => weight).sort((left, right) => right[1] - left[1]);
  const kept = draws.slice(0, MOST_DRAWS);
  const loudness = lengthOf(kept.map(([, weight]) => weight));
  return kept.map(([seed, weight]) => [seed, weight / loudness]);
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
