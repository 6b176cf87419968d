// Sixteen steps for sixteen pads. Sounds are scheduled on the clock of the sound output, a little ahead of time.

const STEPS = 16;
const STEPS_A_BEAT = 4;
const HORIZON_SECONDS = 0.12; // how far ahead: several ticks of the clock, or one that comes late
const START_SECONDS = 0.05;
const LATE_SECONDS = 0.5; // after a pause of the machine it goes on from now
const FIRST_BEAT = { kick: [0, 6, 8], snare: [4, 12], hihat: [0, 2, 4, 6, 8, 10, 12, 14] };

class Sequencer {
  constructor(pads, player) {
    Object.assign(this, { pads, player, clock: null, ahead: [] });
    this.rows = pads.pads.map((pad) => this.createdRow(pad));
    roveWithArrows(this.rows.flatMap((row) => row.cells), STEPS);
    element("play").addEventListener("click", () => this.toggle());
    element("clear").addEventListener("click", () => {
      for (const row of this.rows) this.setRow(row, []);
      tell("All steps are off");
    });
    for (const id of ["tempo", "swing"]) element(id).addEventListener("input", () => this.showSettings());
    document.addEventListener("padchange", ({ detail: pad }) => this.showRow(this.rows[pad.number - 1]));
    for (const [name, steps] of Object.entries(FIRST_BEAT)) {
      const row = this.rows[model.labels.indexOf(name)];
      if (row) this.setRow(row, steps);
    }
    this.showSettings();
  }

  get isRunning() {
    return this.clock !== null;
  }

  /** Returns the seconds of a step: swing is the share of a pair that its first step takes, in percent. */
  secondsOf(step) {
    const pair = (2 * 60) / (Number(element("tempo").value) * STEPS_A_BEAT);
    const share = Number(element("swing").value) / 100;
    return pair * (step % 2 ? 1 - share : share);
  }

  toggle() {
    if (this.isRunning) return this.stop();
    this.player.unblock();
    Object.assign(this, { step: 0, time: this.player.time + START_SECONDS, ahead: [] });
    this.clock = startClock(() => this.schedule());
    this.follow();
    this.showPlaying();
  }

  stop() {
    this.clock.terminate();
    this.clock = null;
    this.showNow(-1);
    this.showPlaying();
  }

  /** Schedules the steps that begin before the horizon. */
  schedule() {
    if (!this.isRunning) return;
    if (this.time < this.player.time - LATE_SECONDS) this.time = this.player.time + START_SECONDS;
    while (this.time < this.player.time + HORIZON_SECONDS) {
      for (const row of this.rows) if (row.steps[this.step]) this.pads.sound(row.pad, USUAL_VELOCITY, this.time);
      this.ahead.push({ step: this.step, time: this.time });
      this.time += this.secondsOf(this.step);
      this.step = (this.step + 1) % STEPS;
    }
  }

  /** Marks the step that is heard, picture by picture. */
  follow() {
    if (!this.isRunning) return;
    while (this.ahead.length && this.ahead[0].time <= this.player.time) this.showNow(this.ahead.shift().step);
    requestAnimationFrame(() => this.follow());
  }

  createdRow(pad) {
    const name = created("span", { class: "row-name" });
    const cells = Array.from({ length: STEPS }, (_, step) =>
      created("button", { type: "button", class: step % STEPS_A_BEAT ? "step" : "step beat" }),
    );
    const line = created("div", { class: "row" }, name, ...cells);
    const row = { pad, name, cells, steps: Array(STEPS).fill(false), element: line };
    cells.forEach((cell, step) => {
      cell.addEventListener("click", () => {
        row.steps[step] = !row.steps[step];
        this.showRow(row);
      });
    });
    element("steps").append(line);
    this.showRow(row);
    return row;
  }

  /** Switches on the steps of a row that are listed. */
  setRow(row, steps) {
    row.steps = row.steps.map((_, step) => steps.includes(step));
    this.showRow(row);
  }

  showRow({ pad, name, cells, steps, element }) {
    const title = this.pads.nameOf(pad);
    name.textContent = pad.name.textContent;
    element.style.setProperty("--hue", this.pads.hue(pad));
    cells.forEach((cell, step) => {
      cell.setAttribute("aria-pressed", steps[step]);
      cell.setAttribute("aria-label", `${title}, step ${step + 1}`);
    });
  }

  showNow(now) {
    for (const { cells } of this.rows) cells.forEach((cell, step) => cell.classList.toggle("now", step === now));
  }

  showPlaying() {
    element("play").setAttribute("aria-pressed", this.isRunning);
    element("play-text").textContent = this.isRunning ? "Stop" : "Play";
  }

  showSettings() {
    element("tempo-text").value = `${element("tempo").value} bpm`;
    element("swing-text").value = `${element("swing").value} %`;
  }
}
