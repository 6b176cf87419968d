// Sliders that move the selected pad's sound along the directions of its model.

const SLIDER_STEP = 0.05;

class Directions {
  constructor(pads) {
    this.pads = pads;
    this.sliders = model.directions.map((name) => this.createdSlider(name));
    element("directions").hidden = !this.sliders.length;
    document.addEventListener("padchange", () => this.show());
  }

  createdSlider(name) {
    const input = created("input", { type: "range", id: `more-${name}`, min: -1, max: 1, step: SLIDER_STEP, value: 0 });
    const output = created("output", { for: input.id });
    const title = name[0].toUpperCase() + name.slice(1);
    element("directions").append(created("label", { class: "slider" }, title, input, output));
    input.addEventListener("input", () => this.move());
    return { name, input, output };
  }

  get ways() {
    return Object.fromEntries(this.sliders.map(({ name, input }) => [name, Number(input.value)]));
  }

  /** Gives the selected pad the sound of the sliders. While one is made, only the newest of later places waits. */
  async move() {
    const pad = this.pads.current;
    if (this.pads.isRefused(pad)) return this.show();
    this.showValues();
    this.isWaiting = true;
    if (this.isMaking) return;
    this.isMaking = true;
    while (this.isWaiting && pad === this.pads.current) {
      this.isWaiting = false;
      const { sound, isMoved } = pad.made;
      if (await this.pads.give(pad, movedSound(sound, this.ways), { isNew: !isMoved })) {
        pad.made.isMoved = true; // so that one Undo goes back before all moves
        this.pads.sound(pad);
      }
    }
    this.isMaking = false;
    this.show();
  }

  /** Shows how far the selected pad's sound was moved. */
  show() {
    if (this.isMaking) return; // the slider is ahead of the sound
    const ways = this.pads.current.made?.sound.ways ?? {};
    for (const { name, input } of this.sliders) input.value = ways[name] ?? 0;
    this.showValues();
  }

  showValues() {
    for (const { input, output } of this.sliders) output.value = `${input.value > 0 ? "+" : ""}${input.value}`;
  }
}
