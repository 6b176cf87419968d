// Sliders that move the selected pad's sound along the directions of its model.

class Directions {
  constructor(pads) {
    this.pads = pads;
    this.sliders = model.directions.map(({ name }) => this.createdSlider(name));
    element("directions").hidden = !this.sliders.length;
    document.addEventListener("padchange", () => this.show());
  }

  createdSlider(name) {
    const input = created("input", { type: "range", id: `more-${name}`, min: -3, max: 3, step: 0.1, value: 0 });
    const output = created("output", { for: input.id });
    const title = name[0].toUpperCase() + name.slice(1);
    element("directions").append(created("label", { class: "slider" }, title, input, output));
    input.addEventListener("input", () => this.move());
    return { input, output };
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
      const { sound } = pad.made;
      const moved = movedSound(sound.base ?? sound, this.sliders.map(({ input }) => Number(input.value)));
      if (await this.pads.give(pad, moved, { isNew: !sound.base })) this.pads.sound(pad);
    }
    this.isMaking = false;
    this.show();
  }

  /** Shows how far the selected pad's sound was moved. */
  show() {
    if (this.isMaking) return; // the slider is ahead of the sound
    const ways = this.pads.current.made?.sound.ways ?? [];
    this.sliders.forEach(({ input }, place) => (input.value = ways[place] ?? 0));
    this.showValues();
  }

  showValues() {
    for (const { input, output } of this.sliders) output.value = `${input.value > 0 ? "+" : ""}${input.value}`;
  }
}
