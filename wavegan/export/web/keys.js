// Keys that play the selected pad's sound at their pitches: by hand, by letters and by MIDI.

const KEY_COUNT = 25; // two octaves and a C
const OCTAVE_KEYS = 12;
const BLACK_KEYS = [1, 3, 6, 8, 10]; // of an octave
const AHEAD_MILLISECONDS = 200; // of rest, after which the keys' sounds are made before they are played
const LETTERS = "ZSXDCVGBHNJMQ2W3ER5T6Y7UI"; // on the keys, by place on the keyboard

class Keys {
  constructor(pads, player) {
    Object.assign(this, { pads, player, held: new Map(), isOn: false, last: null });
    element("area-keys").hidden = !model.pitches;
    if (!model.pitches) return;
    const middle = 69 + OCTAVE_KEYS * Math.log2(model.pitches.middle / 440);
    this.first = OCTAVE_KEYS * Math.round((middle - OCTAVE_KEYS) / OCTAVE_KEYS);
    this.codes = [...LETTERS].map((letter) => (letter < "A" ? `Digit${letter}` : `Key${letter}`));
    this.buttons = Array.from({ length: KEY_COUNT }, (_, place) => this.createdKey(place));
    roveWithArrows(this.buttons, KEY_COUNT);
    const actions = { "keys-down": () => this.move(-OCTAVE_KEYS), "keys-up": () => this.move(OCTAVE_KEYS) };
    Object.assign(actions, { "keys-on": () => this.toggle(), "keys-keep": () => this.keep() });
    Object.assign(actions, { "keys-spread": () => this.spread() });
    for (const [id, action] of Object.entries(actions)) element(id).addEventListener("click", action);
    document.addEventListener("padchange", () => this.makeAhead());
    this.show();
  }

  createdKey(place) {
    const button = created("button", { type: "button" });
    button.className = BLACK_KEYS.includes(place % OCTAVE_KEYS) ? "key black" : "key";
    element("keys").append(button);
    let [isPlayed, own] = [false, null];
    button.addEventListener("pointerdown", (event) => {
      isPlayed = event.button === 0 && !this.player.isBlocked;
      if (isPlayed) own = this.press(this.first + place);
    });
    for (const name of ["pointerup", "pointerleave", "pointercancel"])
      button.addEventListener(name, () => this.release(own));
    button.addEventListener("click", (event) => {
      if (!isPlayed || event.detail === 0) this.play(this.first + place); // by the keyboard or a screen reader
    });
    return button;
  }

  /** Returns the note of a letter's place on the keyboard; null if it has none. */
  noteOfLetter(code) {
    const place = this.codes?.indexOf(code) ?? -1;
    return place < 0 ? null : this.first + place;
  }

  /** Plays a note until it is released or ends. velocity: 1 to 127. Returns what `release` takes, nothing if it is mute. */
  press(note, velocity = USUAL_VELOCITY) {
    if (!this.pads.current.made) return tell("The page is not ready yet.", true);
    if (!isReached(note)) return tell(`This model makes no ${noteName(note)}: ${this.reach}.`, true);
    if (this.player.isBlocked) return tell(BLOCKED, true);
    this.releaseNote(note);
    const press = { note };
    this.held.set(note, press);
    this.newest = press;
    this.sound(press, velocity);
    return press;
  }

  /** Plays a note to its end. */
  play(note) {
    if (this.press(note)) this.held.delete(note);
  }

  async sound(press, velocity) {
    const { note } = press;
    const made = await this.made(note);
    if (press.isOver && this.held.has(note)) return; // it was pressed again
    press.letGo = this.player.play(made.buffer, velocity);
    if (press.isOver) press.letGo();
    this.buttons[note - this.first]?.animate?.([{ filter: "brightness(0.8)" }, { filter: "none" }], 220);
    if (press !== this.newest) return;
    this.last = made;
    this.pads.showSound(`Key ${noteName(note)}: ${soundName(made.sound) || "sound"}`, made);
    this.tellBeyond(made.sound, note);
  }

  releaseNote(note) {
    this.release(this.held.get(note));
  }

  release(press) {
    if (!press || press.isOver) return;
    press.isOver = true;
    if (this.held.get(press.note) === press) this.held.delete(press.note);
    press.letGo?.();
  }

  releaseAll() {
    for (const press of [...this.held.values()]) this.release(press);
  }

  /** Tells if a note lies more than a semitone beyond those that the model has learned of the sound's first label. */
  tellBeyond(sound, note) {
    const { labels } = soundAt(sound, note);
    const label = model.labelPitches.length ? labels.indexOf(Math.max(...labels)) : 0;
    const [low, high] = model.learnedPitches[label];
    if (pitchOf(note + 1) >= low && pitchOf(note - 1) <= high) return;
    const whose = model.labelPitches.length ? ` of ${model.labels[label]}` : "";
    const learned = `${Math.round(low)} to ${Math.round(high)} Hz`;
    tell(`${noteName(note)} lies beyond the pitches${whose} that were learned, ${learned}, and may sound unnatural.`);
  }

  get reach() {
    const { lowest, highest } = model.pitches;
    return `its pitches lie between ${Math.ceil(lowest)} and ${Math.floor(highest)} Hz`;
  }

  /** Returns a promise of the selected pad's sound at a note; all are kept until the pad has another sound. */
  made(note) {
    const { made } = this.pads.current;
    if (made !== this.source) Object.assign(this, { source: made, sounds: new Map() });
    if (!this.sounds.has(note)) this.sounds.set(note, this.make(soundAt(made.sound, note)));
    return this.sounds.get(note);
  }

  async make(sound) {
    const made = await this.pads.maker.make(sound);
    return { ...made, sound, buffer: this.player.buffer(made.clip) };
  }

  /** Makes the sounds of all keys, one after the other, if keys are played and the pad stays the same for a while. */
  makeAhead() {
    clearTimeout(this.timer);
    if (!this.isOn) return;
    this.timer = setTimeout(async () => {
      const { made } = this.pads.current;
      for (const note of this.notes.filter(isReached)) {
        if (made !== this.pads.current.made || !this.isOn) return;
        await this.made(note);
      }
    }, AHEAD_MILLISECONDS);
  }

  get notes() {
    return this.buttons.map((_, place) => this.first + place);
  }

  move(step) {
    if (![...this.notes.keys()].some((place) => isReached(this.first + step + place)))
      return tell(`This model makes no other pitches: ${this.reach}.`, true);
    this.releaseAll();
    this.first += step;
    this.show();
    this.makeAhead();
    tell(`Keys ${element("keys-range").textContent}`);
  }

  /** Lets letters and MIDI play the keys, or the pads again. */
  toggle() {
    this.isOn = !this.isOn;
    this.releaseAll();
    document.body.classList.toggle("plays-keys", this.isOn);
    this.show();
    this.pads.redraw();
    this.makeAhead();
    tell(this.isOn ? "Letters and MIDI play the keys" : "Letters and MIDI play the pads");
  }

  /** Puts the sound of the last key on the selected pad. */
  keep() {
    if (!this.last) return tell("Play a key first; its sound is put on the selected pad.", true);
    this.pads.change(this.pads.current, this.last.sound, `holds ${noteName(this.last.sound.note)}`);
  }

  /** Puts the selected pad's sound on all pads that are not locked, each a key higher, from the first key on. */
  async spread() {
    const { sound } = this.pads.current.made;
    const notes = this.notes.filter(isReached);
    const open = this.pads.pads.filter((pad) => !pad.isLocked).slice(0, notes.length);
    await Promise.all(open.map((pad, place) => this.pads.give(pad, soundAt(sound, notes[place]), { isNew: true })));
    if (!open.length) return tell("All pads are locked; unlock those that are to hold a key.", true);
    const last = notes[open.length - 1];
    tell(`${open.length} pads hold ${noteName(notes[0])} to ${noteName(last)}`);
    this.tellBeyond(sound, last);
  }

  /** Writes on the keys what they play and by which letter. */
  show() {
    if (!model.pitches) return;
    element("keys-range").textContent = `from ${noteName(this.first)}`;
    element("keys-on").setAttribute("aria-pressed", this.isOn);
    this.buttons.forEach((button, place) => {
      const note = this.first + place;
      const letter = (this.printed?.get(this.codes[place]) ?? LETTERS[place]).toUpperCase();
      button.replaceChildren(...(this.isOn ? [created("kbd", {}, letter)] : []));
      if (place % OCTAVE_KEYS === 0) button.append(created("span", {}, noteName(note)));
      button.setAttribute("aria-label", `Key ${noteName(note)}${this.isOn ? `, letter ${letter}` : ""}`);
      button.setAttribute("aria-disabled", !isReached(note));
    });
  }
}
