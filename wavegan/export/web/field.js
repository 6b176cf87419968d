// The field between four pads: every place in it is a sound.

const FIRST_CORNERS = [0, 1, 4, 5]; // pads at the top left, top right, bottom left and bottom right
const RESOLUTION = 100;

class Field {
  constructor(pads) {
    this.pads = pads;
    this.corners = FIRST_CORNERS.map((pad, place) => this.createdCorner(pad, place));
    for (const id of ["field-x", "field-y"]) element(id).addEventListener("input", () => this.moved());
    const area = element("field");
    area.addEventListener("pointerdown", (event) => {
      area.setPointerCapture(event.pointerId);
      this.point(event);
    });
    area.addEventListener("pointermove", (event) => {
      if (area.hasPointerCapture(event.pointerId)) this.point(event);
    });
    element("keep").addEventListener("click", () => this.keep());
    document.addEventListener("padchange", () => this.show());
    this.show();
  }

  get place() {
    return { x: element("field-x").value / RESOLUTION, y: element("field-y").value / RESOLUTION };
  }

  set place({ x, y }) {
    element("field-x").value = Math.round(RESOLUTION * x);
    element("field-y").value = Math.round(RESOLUTION * y);
    this.show();
  }

  get sound() {
    const { x, y } = this.place;
    const sounds = this.corners.map((corner) => this.pads.pads[corner.value].made.sound);
    return mixedSound(sounds, x, y);
  }

  createdCorner(pad, place) {
    const corner = element(`corner-${place}`);
    for (let number = 0; number < PAD_COUNT; number++) corner.append(created("option", { value: number }));
    corner.value = pad;
    corner.addEventListener("change", () => this.moved());
    return corner;
  }

  point(event) {
    const { left, top, width, height } = element("field").getBoundingClientRect();
    const inside = (share) => Math.max(0, Math.min(1, share));
    this.place = { x: inside((event.clientX - left) / width), y: 1 - inside((event.clientY - top) / height) };
    this.moved();
  }

  /** Plays the sound of the place. While a sound is being made, only the newest of later places waits. */
  async moved() {
    this.show();
    this.isWaiting = true;
    if (this.isMaking) return;
    this.isMaking = true;
    while (this.isWaiting) {
      this.isWaiting = false;
      const made = await this.pads.maker.make(this.sound);
      this.pads.player.play(this.pads.player.buffer(made.clip));
      this.pads.showSound(this.title, made);
    }
    this.isMaking = false;
  }

  get title() {
    const { x, y } = this.place;
    const percent = (share) => Math.round(RESOLUTION * share);
    const numbers = this.corners.map((corner) => Number(corner.value) + 1).join(", ");
    return `Between pads ${numbers}: ${percent(x)} right, ${percent(y)} up`;
  }

  keep() {
    this.pads.change(this.pads.current, this.sound, "holds the sound of the field");
  }

  show() {
    for (const corner of this.corners) {
      this.pads.pads.forEach((pad, place) => {
        const name = pad.made ? soundName(pad.made.sound) : "";
        corner.options[place].textContent = `${pad.number} ${name}`;
      });
    }
    const { x, y } = this.place;
    Object.assign(element("dot").style, { left: `${100 * x}%`, top: `${100 * (1 - y)}%` });
    element("field-x").setAttribute("aria-valuetext", this.title);
    element("field-y").setAttribute("aria-valuetext", this.title);
    this.corners.forEach((corner, place) => {
      element("field").style.setProperty(`--hue-${place}`, this.pads.hue(this.pads.pads[corner.value]));
    });
  }
}
