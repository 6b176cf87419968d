// The page's side of its workers. They start from texts inside the page, as a file from disk may load no other.

const TICK_MILLISECONDS = 25;
const CLOCK = `setInterval(() => postMessage(0), ${TICK_MILLISECONDS});`;

const startWorker = (text) => new Worker(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));

/** Asks the worker for sounds. */
class SoundMaker {
  constructor() {
    this.waiting = new Map();
    this.count = 0;
    this.worker = startWorker(element("worker").textContent);
    this.worker.onmessage = ({ data: { number, result, error } }) => {
      const { resolve, reject } = this.waiting.get(number);
      this.waiting.delete(number);
      if (error) reject(new Error(error));
      else resolve(result);
    };
  }

  begin() {
    const content = { model, weights: element("weights").textContent, kernel: element("kernel").textContent };
    element("weights").remove(); // megabytes that are not needed any more
    return this.ask("begin", content);
  }

  /** Returns a promise of the clip, its picture, what its ways added to the mapped latent, and how long it took. */
  make({ z, labels, noise, ways, note }) {
    return this.ask("make", { z, labels, noise, ways, pitch: note === null ? null : pitchOf(note) });
  }

  ask(task, content) {
    return new Promise((resolve, reject) => {
      this.waiting.set(++this.count, { resolve, reject });
      this.worker.postMessage({ number: this.count, task, content });
    });
  }
}

/** Calls back every 25 ms also in a hidden tab, where the timers of a page itself are slowed down. */
function startClock(callback) {
  const worker = startWorker(CLOCK);
  worker.onmessage = callback;
  return worker;
}
