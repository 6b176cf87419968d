// MIDI keyboards and pads: notes 36 to 51 play the pads, as in the mappings that the page saves, or all notes play keys.

const NOTE_ON = 0x90;
const NOTE_OFF = 0x80;

class Midi {
  constructor(pads, keys) {
    Object.assign(this, { pads, keys });
    element("midi").addEventListener("click", () => this.connect());
  }

  async connect() {
    if (!navigator.requestMIDIAccess) return tell("This browser has no MIDI. Chrome, Edge and Firefox have it.", true);
    try {
      this.access = await navigator.requestMIDIAccess();
    } catch (error) {
      const remedy = "Allow MIDI for this page in the browser's settings of the page, then connect again.";
      return tell(`The browser does not let this page use MIDI (${error.message}). ${remedy}`, true);
    }
    this.access.onstatechange = () => this.listen();
    this.listen();
  }

  /** Listens to all inputs that are there now. */
  listen() {
    const inputs = [...this.access.inputs.values()];
    for (const input of inputs) input.onmidimessage = ({ data }) => this.hear(data);
    if (!inputs.length) return tell("MIDI is allowed, but no device is connected. Connect one; it is noticed.", true);
    const pads = `notes ${FIRST_NOTE} to ${FIRST_NOTE + PAD_COUNT - 1} play the pads`;
    const range = this.keys.isOn ? "notes play the keys" : pads;
    tell(`MIDI: ${inputs.map((input) => input.name).join(", ")}; ${range}`);
  }

  hear([status, note, velocity]) {
    const isOn = (status & 0xf0) === NOTE_ON && velocity > 0;
    if (!isOn && [NOTE_ON, NOTE_OFF].includes(status & 0xf0)) return this.keys.releaseNote(note);
    if (isOn && this.keys.isOn) return this.keys.press(note, velocity);
    const pad = this.pads.pads[note - FIRST_NOTE];
    if (isOn && pad) this.pads.play(pad, velocity);
  }
}
