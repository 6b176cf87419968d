// The whole state as a file: pads, sequencer, field. What is opened is checked before anything changes.

const STATE_FORMAT = "wavegan instrument";
const STATE_VERSIONS = [1, 2]; // without notes, and with them

/** Returns the state as text. */
function stateText({ pads, field, sequencer }) {
  const { name, step, id } = model;
  return JSON.stringify({
    format: STATE_FORMAT,
    version: STATE_VERSIONS[Number(pads.pads.some(({ made: { sound } }) => sound.note !== null))],
    model: { name, step, id },
    pads: pads.pads.map(({ made: { sound }, isLocked }) => ({ ...plain(sound), z: textOf(sound.z), isLocked })),
    selected: pads.selected,
    amount: Number(element("amount").value),
    volume: Number(element("volume").value),
    field: { corners: field.corners.map((corner) => Number(corner.value)), ...field.place },
    sequencer: {
      tempo: Number(element("tempo").value),
      swing: Number(element("swing").value),
      rows: sequencer.rows.map(({ steps }) => steps.map((isOn) => (isOn ? "x" : ".")).join("")),
    },
  });
}

/** Reads a state; throws an Error that says what is wrong with it. */
function stateOf(text) {
  let state;
  try {
    state = JSON.parse(text);
  } catch {
    throw new Error("it is cut off or no state file");
  }
  const must = (condition, reason) => {
    if (!condition) throw new Error(reason);
  };
  const within = (number, low, high) => Number.isFinite(number) && number >= low && number <= high;
  must(state?.format === STATE_FORMAT, "it is no state file of this instrument");
  const read = STATE_VERSIONS.join(" and ");
  must(STATE_VERSIONS.includes(state.version), `it has version ${state.version}, this page reads ${read}`);
  must(Array.isArray(state.pads) && state.pads.length === PAD_COUNT, "its pads are damaged");
  const pads = state.pads.map((pad, place) => {
    const damaged = `its pad ${place + 1} is damaged`;
    must(typeof pad?.z === "string" && typeof pad.code === "string" && Array.isArray(pad.noise), damaged);
    const isDraw = (draw) => within(draw?.[0], 0, 2 ** 32 - 1) && within(draw[1], 0, 1);
    must(within(pad.noise.length, 1, MOST_DRAWS) && pad.noise.every(isDraw), damaged);
    must(Array.isArray(pad.labels) && pad.labels.every((share) => within(share, 0, 1)), damaged);
    must(pad.ways && Object.values(pad.ways).every((way) => within(way, -1, 1)), damaged);
    const z = numbersOf(pad.z);
    must(z && z.every(Number.isFinite), damaged);
    const { labels, noise, code, note = null } = pad;
    must(note === null || (Number.isInteger(note) && within(note, 0, 127)), damaged);
    const fits = z.length === model.latentDim && labels.length === model.labels.length;
    must(fits && (note === null || isReached(note)), `it is from another model, ${state.model?.name}`);
    return { sound: { z, labels, noise, ways: waysOf(pad.ways), note, code }, isLocked: pad.isLocked === true };
  });
  const { field, sequencer } = state;
  must(within(state.amount, 1, 100) && within(state.volume, 0, 100), "its sliders are damaged");
  const isPad = (number) => Number.isInteger(number) && within(number, 0, PAD_COUNT - 1);
  must(isPad(state.selected), "its selected pad is damaged");
  const hasCorners = Array.isArray(field?.corners) && field.corners.length === 4 && field.corners.every(isPad);
  must(hasCorners && within(field.x, 0, 1) && within(field.y, 0, 1), "its field is damaged");
  const rows = sequencer?.rows;
  const isRow = (row) => typeof row === "string" && /^[x.]{16}$/.test(row);
  must(Array.isArray(rows) && rows.length === PAD_COUNT && rows.every(isRow), "its sequencer is damaged");
  must(within(sequencer.tempo, 40, 240) && within(sequencer.swing, 50, 75), "its tempo or swing is damaged");
  return { ...state, pads };
}

/** Puts a state that was read into place. */
async function restore(state, { pads, field, sequencer }) {
  const values = { amount: state.amount, volume: state.volume, ...state.sequencer };
  for (const id of ["amount", "volume", "tempo", "swing"]) {
    element(id).value = values[id];
    element(id).dispatchEvent(new Event("input"));
  }
  state.sequencer.rows.forEach((row, place) => {
    const steps = [...row].flatMap((letter, step) => (letter === "x" ? [step] : []));
    sequencer.setRow(sequencer.rows[place], steps);
  });
  await Promise.all(
    state.pads.map(({ sound, isLocked }, place) => {
      const pad = pads.pads[place];
      Object.assign(pad, { isLocked, history: [] });
      return pads.give(pad, sound);
    }),
  );
  field.corners.forEach((corner, place) => (corner.value = state.field.corners[place]));
  field.place = state.field;
  pads.select(pads.pads[state.selected]);
}

/** Writes float32 numbers as base64, so that not a bit is lost. */
const textOf = (numbers) => btoa(String.fromCharCode(...new Uint8Array(numbers.buffer)));

/** Reads them again; null if they are none. */
function numbersOf(text) {
  try {
    return new Float32Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
  } catch {
    return null;
  }
}
