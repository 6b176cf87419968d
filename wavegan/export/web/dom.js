// Small parts that all of the page's script uses.

const model = JSON.parse(document.getElementById("model").textContent);

const element = (id) => document.getElementById(id);

/** Tells the reader something, in words that a screen reader speaks at once. isError: that something went wrong. */
function tell(text, isError = false) {
  const status = element("status");
  status.classList.toggle("error", isError);
  status.textContent = "";
  requestAnimationFrame(() => (status.textContent = text)); // told again even if it is the same text
}

/** Creates an element with attributes and contents. */
function created(tag, attributes, ...contents) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...contents);
  return node;
}

/** Makes a grid of buttons one stop of the Tab key; arrow keys, Home and End move inside. */
function roveWithArrows(buttons, columns) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  buttons.forEach((button, place) => {
    button.tabIndex = place ? -1 : 0;
    button.addEventListener("focus", () => {
      for (const other of buttons) other.tabIndex = other === button ? 0 : -1;
    });
    button.addEventListener("keydown", (event) => {
      const start = place - (place % columns);
      const target = { Home: start, End: start + columns - 1 }[event.key] ?? place + (steps[event.key] ?? NaN);
      if (!buttons[target] || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      buttons[target].focus();
    });
  });
}

const hueOf = (label) => Math.round((360 * (label + 0.5)) / Math.max(1, model.labels.length) + 300) % 360;

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Gives a canvas as many pixels as its screen has, and returns its context with its size. */
function prepared(canvas) {
  const scale = devicePixelRatio || 1;
  const { clientWidth, clientHeight } = canvas;
  canvas.width = Math.max(1, Math.round(clientWidth * scale));
  canvas.height = Math.max(1, Math.round(clientHeight * scale));
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  return { context, width: canvas.width, height: canvas.height };
}

/** Draws a clip's waveform: for each column the range of its samples. */
function drawWaveform(canvas, clip, fill) {
  const { context, width, height } = prepared(canvas);
  context.fillStyle = fill;
  const count = clip[0].length;
  for (let x = 0; x < width; x++) {
    const [from, to] = [Math.floor((x * count) / width), Math.ceil(((x + 1) * count) / width)];
    let [low, high] = [0, 0];
    for (const samples of clip)
      for (let place = from; place < to; place++) {
        low = Math.min(low, samples[place]);
        high = Math.max(high, samples[place]);
      }
    const top = ((1 - high) / 2) * height;
    context.fillRect(x, top, 1, Math.max(1, ((high - low) / 2) * height));
  }
}

const SHADES = [[10, 8, 20], [70, 20, 95], [160, 40, 105], [235, 100, 80], [252, 190, 110], [255, 250, 220]];

const PICTURE_ROWS = 192;
const melOf = (hertz) => Math.log1p(hertz / 700);
const hertzOf = (mel) => 700 * Math.expm1(mel);

/** Draws a spectrogram whose levels lie from 0 to 255, low frequencies at the bottom, spaced as they are heard. */
function drawSpectrogram(canvas, { levels, frames, bins }) {
  canvas.width = frames;
  canvas.height = PICTURE_ROWS;
  const context = canvas.getContext("2d");
  const image = context.createImageData(frames, PICTURE_ROWS);
  const highest = model.sampleRate / 2;
  for (let row = 0; row < PICTURE_ROWS; row++) {
    const hertz = hertzOf(melOf(highest) * (1 - (row + 0.5) / PICTURE_ROWS));
    const place = (hertz / highest) * (bins - 1);
    const [low, share] = [Math.floor(place), place % 1];
    for (let frame = 0; frame < frames; frame++) {
      const at = frame * bins + low;
      shade(image.data, 4 * (row * frames + frame), (1 - share) * levels[at] + share * levels[at + 1]);
    }
  }
  context.putImageData(image, 0, 0);
}

/** Writes the colour of a level into a pixel. */
function shade(pixels, at, level) {
  const place = (level / 256) * (SHADES.length - 1);
  const [left, right] = [SHADES[Math.floor(place)], SHADES[Math.floor(place) + 1]];
  for (let part = 0; part < 3; part++) pixels[at + part] = left[part] + (place % 1) * (right[part] - left[part]);
  pixels[at + 3] = 255;
}
