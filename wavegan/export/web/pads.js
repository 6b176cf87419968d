// The sixteen pads: what each sounds like, its history, its lock; and the panel of the one that is selected.

const PAD_COUNT = 16;
const PADS_A_ROW = 4;
const MOST_UNDONE = 50;
const BLOCKED = "The browser blocks sound until you click or press a key in this page.";
const KEYS = ["Digit1", "Digit2", "Digit3", "Digit4", "KeyQ", "KeyW", "KeyE", "KeyR"].concat(
  ["KeyA", "KeyS", "KeyD", "KeyF", "KeyZ", "KeyX", "KeyC", "KeyV"],
); // places of keys on the keyboard, whatever is printed on them

class Pads {
  constructor(maker, player) {
    Object.assign(this, { maker, player, selected: 0 });
    this.pads = KEYS.map((code, place) => this.createdPad(code, place));
    roveWithArrows(this.pads.map((pad) => pad.button), PADS_A_ROW);
    this.connectPanel();
    addEventListener("resize", () => this.redraw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  get current() {
    return this.pads[this.selected];
  }

  createdPad(code, place) {
    const key = created("kbd", {}, code.at(-1));
    const [name, canvas] = [created("span", { class: "name" }), created("canvas", { "aria-hidden": "true" })];
    const lock = created("span", { class: "lock", "aria-hidden": "true" });
    const button = created("button", { type: "button", class: "pad" }, key, lock, canvas, name);
    element("pads").append(button);
    const pad = { number: place + 1, code, key, name, canvas, lock, button, history: [], isLocked: false, asked: 0 };
    let isPlayed = false;
    button.addEventListener("pointerdown", (event) => {
      isPlayed = event.button === 0 && !this.player.isBlocked; // a first touch lets sound out only when it ends
      if (isPlayed) this.play(pad);
    });
    button.addEventListener("click", (event) => {
      if (!isPlayed || event.detail === 0) this.play(pad); // 0: by the keyboard or a screen reader
    });
    return pad;
  }

  /** Makes the pads' first sounds: labels in turn or, of many, evenly chosen ones; from seed 1 on, always the same. */
  async fill() {
    const count = model.labels.length;
    const label = (place) => (count > PAD_COUNT ? Math.floor((place * count) / PAD_COUNT) : place % (count || 1));
    await Promise.all(this.pads.map((pad, place) => this.give(pad, seededSound(place + 1, oneHot(label(place))))));
  }

  /** Plays a pad and selects it. velocity: 1 to 127. */
  play(pad, velocity = USUAL_VELOCITY) {
    this.sound(pad, velocity);
    this.select(pad);
  }

  /** Lets a pad sound at a time of the player's clock, now by default. */
  sound(pad, velocity = USUAL_VELOCITY, time = 0) {
    if (!pad.made) return;
    if (this.player.isBlocked) return tell(BLOCKED, true);
    this.player.play(pad.made.buffer, velocity, time);
    const flash = () => pad.button.animate?.([{ filter: "brightness(1.35)" }, { filter: "none" }], 220);
    setTimeout(flash, Math.max(0, 1000 * (time - this.player.time)));
  }

  /** Gives a pad a sound as soon as it is made. A later call for the same pad wins. Returns whether it did. */
  async give(pad, sound, { isNew = false } = {}) {
    const number = ++pad.asked;
    const made = await this.maker.make(sound);
    if (number !== pad.asked) return false;
    if (isNew && pad.made) pad.history = [...pad.history, pad.made].slice(-MOST_UNDONE);
    const { clip, picture, offset } = made;
    this.set(pad, { sound, clip, picture, offset, buffer: this.player.buffer(clip) });
    return true;
  }

  set(pad, made) {
    pad.made = made;
    this.show(pad);
    if (pad === this.current) this.showPanel();
  }

  /** Gives an unlocked pad a new sound and plays it. */
  async change(pad, sound, what) {
    if (this.isRefused(pad)) return;
    if (!(await this.give(pad, sound, { isNew: true }))) return;
    this.sound(pad);
    tell(`${this.nameOf(pad)}: ${what}`);
  }

  isRefused(pad) {
    if (pad.isLocked) tell(`${this.nameOf(pad)} is locked; unlock it to change it.`, true);
    return pad.isLocked;
  }

  renew(pad = this.current) {
    return this.change(pad, newSound(pad.made.sound), "new sound");
  }

  vary(pad = this.current) {
    const percent = Number(element("amount").value);
    return this.change(pad, variedSound(pad.made.sound, percent, randomSeed()), `varied by ${percent} percent`);
  }

  undo(pad = this.current) {
    if (this.isRefused(pad)) return;
    if (!pad.history.length) return tell(`${this.nameOf(pad)}: nothing to undo.`, true);
    pad.asked++; // what is being made comes too late
    const before = pad.history.pop();
    this.set(pad, before);
    this.sound(pad);
    tell(`${this.nameOf(pad)}: undone`);
  }

  toggleLock(pad = this.current) {
    pad.isLocked = !pad.isLocked;
    this.show(pad);
    this.showPanel();
    tell(`${this.nameOf(pad)} is ${pad.isLocked ? "locked" : "unlocked"}`);
  }

  async renewAll() {
    const open = this.pads.filter((pad) => !pad.isLocked);
    await Promise.all(
      open.map((pad) => this.give(pad, newSound(pad.made.sound), { isNew: true })),
    );
    const locked = PAD_COUNT - open.length;
    tell(`${open.length} new sounds${locked ? `, ${locked} locked ones kept` : ""}`);
  }

  nameOf(pad) {
    return `Pad ${pad.number}${pad.made && soundName(pad.made.sound) ? `, ${soundName(pad.made.sound)}` : ""}`;
  }

  select(pad) {
    if (pad === this.current && this.shown === pad.made) return;
    const before = this.current;
    this.selected = this.pads.indexOf(pad);
    this.show(before);
    this.show(pad);
    this.showPanel();
  }

  show(pad) {
    const { button, made } = pad;
    const name = made ? soundName(made.sound) : "";
    pad.name.textContent = name || String(pad.number);
    pad.lock.textContent = pad.isLocked ? "🔒" : "";
    button.style.setProperty("--hue", this.hue(pad));
    const state = `${pad.isLocked ? ", locked" : ""}${pad === this.current ? ", selected" : ""}`;
    const letter = document.body.classList.contains("plays-keys") ? "" : `, key ${pad.key.textContent}`;
    button.setAttribute("aria-label", `${this.nameOf(pad)}${letter}${state}`);
    button.classList.toggle("selected", pad === this.current);
    if (made) drawWaveform(pad.canvas, made.clip, getComputedStyle(pad.canvas).color);
    document.dispatchEvent(new CustomEvent("padchange", { detail: pad }));
  }

  hue(pad) {
    if (!model.labels.length) return Math.round((360 * pad.number) / PAD_COUNT);
    const labels = pad.made?.sound.labels ?? oneHot(0);
    return hueOf(labels.indexOf(Math.max(...labels)));
  }

  redraw() {
    for (const pad of this.pads) this.show(pad);
    this.showPanel();
  }

  connectPanel() {
    const actions = { new: () => this.renew(), vary: () => this.vary(), undo: () => this.undo() };
    Object.assign(actions, { lock: () => this.toggleLock(), "new-all": () => this.renewAll() });
    for (const [id, action] of Object.entries(actions)) element(id).addEventListener("click", action);
    element("amount").addEventListener("input", () => (element("amount-text").value = `${element("amount").value} %`));
    model.labels.forEach((name, place) => element("label").append(created("option", { value: place }, name)));
    element("label-row").hidden = !model.labels.length;
    element("label").addEventListener("change", () => {
      const labels = oneHot(Number(element("label").value));
      const sound = labelledSound(this.current.made.sound, labels);
      this.change(this.current, sound, "another label").then(() => this.showPanel());
    });
    element("seed-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.findSeed(element("seed").value.trim().replace(/^#/, ""));
    });
  }

  findSeed(code) {
    const sound = soundOfCode(code, this.current.made.sound.labels);
    if (sound) return this.change(this.current, sound, `seed ${sound.code}`);
    const mixed = "A mix of pads has no seed; save the state to find it again.";
    const wrong = `${code || "An empty line"} is no seed: it has 1 to 8 digits from 0 to 9 and a to f. Try 2a.`;
    const isBeyond = noteOfCode(code) !== null && CODE.test(code.replace(NOTE_OF_CODE, ""));
    tell(code.startsWith(MIXED) ? mixed : isBeyond ? `This model has no note as in ${code}.` : wrong, true);
  }

  /** Shows the selected pad's sound and its controls. */
  showPanel() {
    const pad = this.current;
    element("lock").setAttribute("aria-pressed", pad.isLocked);
    for (const id of ["new", "vary", "undo"]) element(id).setAttribute("aria-disabled", pad.isLocked);
    if (!pad.history.length) element("undo").setAttribute("aria-disabled", true);
    if (!pad.made) return;
    element("label").value = pad.made.sound.labels.indexOf(1); // none of a mix
    element("seed").value = pad.made.sound.code;
    this.showSound(this.nameOf(pad), pad.made);
  }

  /** Shows a sound's picture under a title. made: its clip and its picture. */
  showSound(title, made) {
    this.shown = made;
    const { seconds, brightness } = made.picture;
    const middle = brightness < 1000 ? `${brightness.toFixed(0)} Hz` : `${(brightness / 1000).toFixed(1)} kHz`;
    const facts = `${seconds.toFixed(2)} s long, middle of its spectrum ${middle}`;
    element("sound-name").textContent = title;
    element("facts").textContent = facts;
    element("picture").setAttribute("aria-label", `Waveform and spectrogram of ${title}: ${facts}`);
    drawWaveform(element("waveform"), made.clip, colour("--accent"));
    drawSpectrogram(element("spectrogram"), made.picture);
  }
}
