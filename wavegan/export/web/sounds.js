// Sounds as descriptions: a latent, shares of the labels, draws of noise, ways, a note, and a code to find them again.
// A draw is [seed, weight]; the noise is the sum of all draws, and their squared weights add up to 1.
// Ways say how far a sound is moved along the model's directions, -1 to 1 by name; what is not moved has none.
// A note is the number of the MIDI key that a sound is played by, null where its pitch is drawn.

const CODE = /^[0-9a-f]{1,8}(~(\d{1,3}\.[0-9a-f]{1,8}|[a-z]+[+-][01](\.\d{1,2})?))*$/i;
const NOTE_OF_CODE = /@([a-g])([#b]?)(-?\d)(?=~|$)/i;
const NOTE_NAMES = ["C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B"];
const MOVE = /^([a-z]+)([+-][01](?:\.\d{1,2})?)$/;
const MOVES = /~[a-z]+[+-][\d.]+/g; // of a code
const MIXED = "mix"; // stands in the code of a sound that no seed gives
const MOST_DRAWS = 16;

const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0];
const seedText = (seed) => seed.toString(16).padStart(SEED_DIGITS, "0");
const lengthOf = (numbers) => Math.hypot(...numbers);
const oneHot = (label) => model.labels.map((_, place) => Number(place === label));

const plain = ({ z, labels, noise, ways, note, code }) => ({ z, labels, noise, ways, note, code });

const pitchOf = (note) => Math.round(440_000 * 2 ** ((note - 69) / 12)) / 1000; // in Hz, as receipts tell it
const noteName = (note) => `${NOTE_NAMES[note % 12]}${Math.floor(note / 12) - 1}`;

/** Returns the sound of a seed and label shares, at the pitch of a note if there is one. */
function seededSound(seed, labels, note = null) {
  const z = normalNumbers(seed, "latent", model.latentDim);
  const sound = { z, labels, noise: [[seed, 1]], ways: {}, note: null, code: seedText(seed) };
  return note === null ? sound : soundAt(sound, note);
}

/** Returns a sound at the pitch of a note. Where labels tell pitches, each has the nearest label of its kind. */
function soundAt(sound, note) {
  const code = `${sound.code.replace(NOTE_OF_CODE, "")}@${noteName(note)}`;
  return { ...plain(sound), note, labels: labelsAt(sound.labels, pitchOf(note)), code };
}

function labelsAt(labels, pitch) {
  if (!model.labelPitches.length) return labels;
  const moved = labels.map(() => 0);
  labels.forEach((share, label) => {
    const distances = model.labelPitches.map((own, other) =>
      model.labelKinds[other] === model.labelKinds[label] ? Math.abs(Math.log2(pitch / own)) : Infinity,
    );
    if (share) moved[distances.indexOf(Math.min(...distances))] += share;
  });
  return moved;
}

/** Returns a sound with other labels; of labels that are notes it takes the pitch, too. */
function labelledSound(sound, labels) {
  const kind = model.labelKinds[labels.indexOf(1)];
  const isNote = model.labelKinds.filter((other) => other === kind).length > 1;
  if (!isNote) return { ...plain(sound), labels };
  return { ...plain(sound), labels, note: null, code: sound.code.replace(NOTE_OF_CODE, "") };
}

/** Returns a sound of a new seed that has the labels and the note of another one. */
const newSound = ({ labels, note }) => seededSound(randomSeed(), labels, note);

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

/** Returns the note that a code asks for; null if it asks for none. */
function noteOfCode(code) {
  const [found, letter, sign, octave] = NOTE_OF_CODE.exec(code) ?? [];
  if (!found) return null;
  const natural = NOTE_NAMES.indexOf(letter.toUpperCase()) + 12 * (Number(octave) + 1);
  return natural + (sign === "#") - (sign.toLowerCase() === "b");
}

/** Returns the sound of a code such as 2a, 2a~30.c0ffee, 2a~length+0.5 or 2a@A3; null if it is none of this model. */
function soundOfCode(code, labels) {
  const [note, unpitched] = [noteOfCode(code), code.replace(NOTE_OF_CODE, "")];
  if (!CODE.test(unpitched) || (note !== null && !isReached(note))) return null;
  const [seed, ...steps] = unpitched.split("~");
  let sound = seededSound(parseInt(seed, 16), labels);
  for (const step of steps) {
    const [percent, other] = step.split(".");
    const [, name, way] = MOVE.exec(step) ?? [];
    if (name && !(model.directions.includes(name) && Math.abs(way) <= 1)) return null;
    sound = name
      ? movedSound(sound, { ...sound.ways, [name]: Number(way) })
      : variedSound(sound, Math.min(100, Number(percent)), parseInt(other, 16));
  }
  return note === null ? sound : soundAt(sound, note);
}

/** Whether the model makes sounds at the pitch of a note. */
function isReached(note) {
  if (!model.pitches || !Number.isInteger(note)) return false;
  return pitchOf(note) >= model.pitches.lowest && pitchOf(note) <= model.pitches.highest;
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
  const note = mixedNote(corners, weights);
  const mixedCode = MIXED + (note === null ? "" : `@${noteName(note)}`);
  const code = weights.includes(1) ? corners[weights.indexOf(1)].code : mixedCode;
  return { z: z.map((number) => scale * number), labels: means("labels"), noise, ways: waysOf(ways), note, code };
}

/** Returns the nearest note between those of sounds; null if one that counts has none, as its pitch is drawn. */
function mixedNote(sounds, weights) {
  const heard = sounds.map(({ note }, place) => [note, weights[place]]).filter(([, weight]) => weight);
  return heard.some(([note]) => note === null)
    ? null
    : Math.round(heard.reduce((sum, [note, weight]) => sum + weight * note, 0));
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

/** Names a sound by its labels and its note; "" if it has none. */
function soundName({ labels, note }) {
  const order = labels.map((share, place) => [share, model.labels[place]]).sort((left, right) => right[0] - left[0]);
  const name = order
    .filter(([share], place) => share > 0.2 || !place)
    .map(([, name]) => name)
    .slice(0, 2)
    .join(" + ");
  return note === null ? name : `${name} ${noteName(note)}`.trim();
}
