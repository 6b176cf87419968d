// Puts the page together, and does what its keys and buttons ask.

const KIT_README = "Sixteen sounds, their mapping for SFZ players and DecentSampler, and the state.\n";
const PAGE_DRAW = -1; // in a receipt, the number of a draw of noise that has the page's random numbers
const OUTPUT_MILLISECONDS = 3000; // after the first click, within which sound must be let out

const player = new Player(model.sampleRate);
const maker = new SoundMaker();
const pads = new Pads(maker, player);
const sequencer = new Sequencer(pads, player);
const field = new Field(pads);
const directions = new Directions(pads);
const keys = new Keys(pads, player);
const midi = new Midi(pads, keys);
const instrument = { pads, sequencer, field };

/** Names a sound inside its files, and says how it was made. */
function factsOf(made, title) {
  return { INAM: title, ISFT: `wavegan ${model.version}`, ICMT: receiptText(made) };
}

/** Returns the receipt of a sound as wavegan/commands/receipts.py reads it, in ASCII. */
function receiptText({ sound, offset }) {
  const shares = sound.labels.flatMap((share, place) => (share ? [[model.labels[place], share]] : []));
  const receipt = {
    wavegan: model.version,
    model: model.name,
    step: model.step,
    weights: model.id,
    precision: "fp32",
    made_by: "instrument",
    code: sound.code,
    latent: textOf(sound.z),
    ...(shares.length && { shares: Object.fromEntries(shares) }),
    ...(sound.note !== null && { pitch: pitchOf(sound.note) }),
    noise: sound.noise.map(([seed, weight]) => [seed, PAGE_DRAW, weight]),
    ...(offset && { directions: sound.ways, offset: textOf(offset) }),
  };
  return JSON.stringify(receipt).replace(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function saveSound() {
  const { current } = pads;
  const title = [model.name, soundName(current.made.sound), current.made.sound.code].filter(Boolean).join(" ");
  const wav = wavFile(current.made.clip, model.sampleRate, factsOf(current.made, title));
  download(`${fileName(title)}.wav`, wav, "audio/wav");
  tell(`${pads.nameOf(current)} is saved as WAV`);
}

function saveKit() {
  const name = `${fileName(model.name)}-kit`;
  const files = {};
  const paths = pads.pads.map(({ made, number }) => {
    const title = [String(number).padStart(2, "0"), soundName(made.sound)].filter(Boolean).join(" ");
    const path = `samples/${fileName(title)}.wav`;
    files[`${name}/${path}`] = wavFile(made.clip, model.sampleRate, factsOf(made, title));
    return path;
  });
  const notes = kitNotes(pads.pads.map(({ made }) => made.sound.note));
  const texts = { "sfz": sfzText(paths, notes), "dspreset": decentSamplerText(paths, notes) };
  texts["state.json"] = stateText(instrument);
  for (const [ending, text] of Object.entries(texts)) files[`${name}/${name}.${ending}`] = packed([text]);
  files[`${name}/README.txt`] = packed([KIT_README]);
  download(`${name}.zip`, zipFile(files), "application/zip");
  tell("The kit is saved: sixteen WAV files, SFZ, DecentSampler and the state");
}

/** Returns the MIDI notes of a kit's pads: their own where each has another one, else notes from 36 on. */
function kitNotes(own) {
  const areOwn = !own.includes(null) && new Set(own).size === own.length;
  return own.map((note, place) => (areOwn ? note : FIRST_NOTE + place));
}

function saveState() {
  download(`${fileName(model.name)}.state.json`, packed([stateText(instrument)]), "application/json");
  tell("The state is saved; Open brings it back");
}

async function openState(file) {
  try {
    const state = stateOf(await file.text());
    await restore(state, instrument);
    const isOther = state.model?.id !== model.id;
    const warning = ` It was made with another model, ${state.model?.name}, so its sounds differ.`;
    tell(`${file.name} is open.${isOther ? warning : ""}`, isOther);
  } catch (error) {
    tell(`${file.name} cannot be opened: ${error.message}. Nothing has changed.`, true);
  }
}

const shortcuts = {
  KeyN: () => pads.renew(),
  KeyM: () => pads.vary(),
  KeyU: () => pads.undo(),
  KeyL: () => pads.toggleLock(),
  KeyP: () => sequencer.toggle(),
};

function press(event) {
  const isTyping = event.target.closest?.("select, input:not([type=range])");
  if (isTyping || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (keys.isOn && keys.noteOfLetter(event.code) !== null) return keys.press(keys.noteOfLetter(event.code));
  const pad = keys.isOn ? null : pads.pads.find(({ code }) => code === event.code);
  if (pad) pads.play(pad);
  else shortcuts[event.code]?.();
}

/** Shows the letters that are printed on the keys, where the browser knows them. */
async function showPrintedKeys() {
  const layout = await navigator.keyboard?.getLayoutMap?.();
  for (const pad of layout ? pads.pads : []) {
    pad.key.textContent = (layout.get(pad.code) ?? pad.key.textContent).toUpperCase();
    pads.show(pad);
  }
  if (layout) keys.printed = layout;
  keys.show();
}

function tellSilence() {
  const remedy = "See whether headphones or loudspeakers are connected, then reload.";
  if (!player.isRunning) tell(`The browser has not started its sound output. ${remedy}`, true);
}

function connect() {
  const kilohertz = melOf(1000) / melOf(model.sampleRate / 2);
  Object.assign(element("kilohertz").style, { bottom: `${100 * kilohertz}%`, display: kilohertz < 0.9 ? "" : "none" });
  for (const event of ["pointerdown", "pointerup", "click", "keydown"])
    document.addEventListener(event, () => player.unblock(), { capture: true });
  document.addEventListener("keydown", press);
  document.addEventListener("keyup", ({ code }) => keys.releaseNote(keys.noteOfLetter(code)));
  document.addEventListener("click", () => setTimeout(tellSilence, OUTPUT_MILLISECONDS), { once: true });
  element("save-sound").addEventListener("click", saveSound);
  element("save-kit").addEventListener("click", saveKit);
  element("save-state").addEventListener("click", saveState);
  element("open-state").addEventListener("click", () => element("state-file").click());
  element("state-file").addEventListener("change", async ({ target }) => {
    if (target.files.length) await openState(target.files[0]);
    target.value = ""; // so that the same file can be opened again
  });
  element("volume").addEventListener("input", () => {
    player.volume.gain.value = (element("volume").value / 100) ** 2;
  });
}

async function begin() {
  try {
    await maker.begin();
  } catch (error) {
    const needs = "It needs WebAssembly with SIMD: Chrome, Edge, Firefox or Safari of 2023 or later.";
    return tell(`This browser cannot run the generator (${error.message}). ${needs}`, true);
  }
  await pads.fill();
  connect();
  await showPrintedKeys().catch(() => {}); // then they stay those of an English keyboard
  document.body.classList.add("ready");
  tell("Ready: press a pad, or one of the keys that stand on them");
}

const ready = begin();
