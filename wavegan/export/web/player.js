// Plays clips, and knows whether the browser lets it.

const USUAL_VELOCITY = 100;
const FULL_VELOCITY = 127;
const SHAPER_RANGE = 8; // the loudest sum of sounds that the limiter still bends
const SHAPER_POINTS = 8193;
const KNEE = 0.8; // below it nothing is changed
const RELEASE = 0.06; // seconds in which a sound that is let go falls by 9 dB

class Player {
  constructor(sampleRate) {
    this.context = soundContext(sampleRate);
    this.volume = new GainNode(this.context, { gain: 1 });
    this.volume
      .connect(new GainNode(this.context, { gain: 1 / SHAPER_RANGE }))
      .connect(new WaveShaperNode(this.context, { curve: limiterCurve() }))
      .connect(this.context.destination);
  }

  get isRunning() {
    return this.context.state === "running";
  }

  /** Whether the browser lets no sound out yet, as nobody has clicked or pressed a key in the page. */
  get isBlocked() {
    return !this.isRunning && navigator.userActivation?.hasBeenActive === false;
  }

  get time() {
    return this.context.currentTime;
  }

  /** Lets sound out; browsers allow it in a click, a touch or a key press. */
  unblock() {
    if (!this.isRunning && !this.isBlocked) this.context.resume();
  }

  buffer(clip) {
    const buffer = new AudioBuffer({
      length: clip[0].length,
      numberOfChannels: clip.length,
      sampleRate: model.sampleRate,
    });
    clip.forEach((samples, channel) => buffer.copyToChannel(samples, channel));
    return buffer;
  }

  /**
   * Plays a buffer at a time of the context, at once by default, and returns a function that lets it go before its end.
   * velocity: 1 to 127; as in SFZ, its square counts.
   */
  play(buffer, velocity = USUAL_VELOCITY, time = 0) {
    const source = new AudioBufferSourceNode(this.context, { buffer });
    const gain = (velocity / FULL_VELOCITY) ** 2;
    const level = new GainNode(this.context, { gain });
    source.connect(level).connect(this.volume);
    source.start(time);
    return () => {
      level.gain.setTargetAtTime(0, this.time, RELEASE);
      source.stop(this.time + 10 * RELEASE);
    };
  }
}

/** Opens the sound output at the model's rate where the browser can, so that it resamples well, once, at the end. */
function soundContext(sampleRate) {
  try {
    return new AudioContext({ sampleRate, latencyHint: "interactive" });
  } catch {
    return new AudioContext({ latencyHint: "interactive" });
  }
}

/** Bends what is above the knee smoothly towards 1, so that many sounds at once are not cut hard. */
function limiterCurve() {
  return Float32Array.from({ length: SHAPER_POINTS }, (_, place) => {
    const x = ((2 * place) / (SHAPER_POINTS - 1) - 1) * SHAPER_RANGE;
    const above = Math.max(0, Math.abs(x) - KNEE);
    const bent = KNEE + (1 - KNEE) * Math.tanh(above / (1 - KNEE));
    return above ? Math.sign(x) * bent : x;
  });
}
