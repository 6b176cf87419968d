// Files that the page saves: WAV, ZIP, and the mappings of two samplers.

const FIRST_NOTE = 36; // of pad 1, in MIDI and in the mappings
const FULL_SCALE = 32767;
const NO_COMPRESSION_DATE = 0x21; // 1 January 1980, the earliest that ZIP knows: equal sounds give equal files

/** Returns the bytes of texts and little-endian numbers: ["RIFF", [2, 1]] is four letters and a number of two bytes. */
function packed(parts) {
  const chunks = parts.map((part) => {
    if (part instanceof Uint8Array) return part;
    if (typeof part === "string") return new TextEncoder().encode(part);
    const [size, number] = part;
    return Uint8Array.from({ length: size }, (_, place) => Math.floor(number / 256 ** place) % 256);
  });
  const bytes = new Uint8Array(chunks.reduce((total, chunk) => total + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** Returns a WAV file of 16 bits. facts: texts by the names of INFO entries. */
function wavFile(clip, sampleRate, facts) {
  const samples = new Int16Array(clip[0].length * clip.length);
  clip.forEach((channel, place) =>
    channel.forEach((sample, time) => (samples[time * clip.length + place] = Math.round(FULL_SCALE * sample))),
  );
  const chunk = (name, content) => packed([name, [4, content.length], content, "\0".repeat(content.length % 2)]);
  const frame = 2 * clip.length;
  const format = [[2, 1], [2, clip.length], [4, sampleRate], [4, frame * sampleRate], [2, frame], [2, 16]];
  const entries = Object.entries(facts).map(([name, text]) => chunk(name, packed([text, [1, 0]])));
  const body = packed([
    "WAVE",
    chunk("fmt ", packed(format)),
    chunk("LIST", packed(["INFO", ...entries])),
    chunk("data", new Uint8Array(samples.buffer)),
  ]);
  return packed(["RIFF", [4, body.length], body]);
}

const CHECKSUMS = Uint32Array.from({ length: 256 }, (_, bits) => {
  for (let bit = 0; bit < 8; bit++) bits = (bits >>> 1) ^ (bits & 1 ? 0xedb88320 : 0);
  return bits;
});

function checksum(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = CHECKSUMS[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
}

/** Returns a ZIP file of files by name, not compressed. */
function zipFile(files) {
  const [locals, directory] = [[], []];
  let offset = 0;
  for (const [name, bytes] of Object.entries(files)) {
    const title = packed([name]);
    const size = [4, bytes.length];
    const utf8 = 0x800;
    const about = [[2, 20], [2, utf8], [2, 0], [2, 0], [2, NO_COMPRESSION_DATE], [4, checksum(bytes)], size, size];
    const names = [[2, title.length], [2, 0]];
    const local = packed(["PK\x03\x04", ...about, ...names, title, bytes]);
    locals.push(local);
    directory.push("PK\x01\x02", [2, 20], ...about, ...names, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset], title);
    offset += local.length;
  }
  const [index, count] = [packed(directory), [2, Object.keys(files).length]];
  return packed([...locals, index, "PK\x05\x06", [2, 0], [2, 0], count, count, [4, index.length], [4, offset], [2, 0]]);
}

/** Returns a mapping in SFZ of sample files to notes. */
function sfzText(paths, notes) {
  const region = (path, place) => `<region> key=${notes[place]} sample=${path}`;
  return ["<global> loop_mode=one_shot", ...paths.map(region), ""].join("\n");
}

/** Returns the same mapping for DecentSampler. It has no one-shot mode; a long release lets a short note sound on. */
function decentSamplerText(paths, notes) {
  const sample = (path, place) => {
    const note = notes[place];
    return `      <sample path="${markup(path)}" rootNote="${note}" loNote="${note}" hiNote="${note}"/>`;
  };
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<DecentSampler minVersion="1.0.0">',
    '  <groups attack="0" decay="0" sustain="1" release="10" ampVelTrack="1">',
    "    <group>",
    ...paths.map(sample),
    "    </group>",
    "  </groups>",
    "</DecentSampler>",
    "",
  ].join("\n");
}

const markup = (text) => text.replace(/[&<>"]/g, (letter) => `&#${letter.codePointAt(0)};`);

/** Makes part of a file name of any text. */
const fileName = (text) => text.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-+|-+$/g, "").slice(0, 40) || "sound";

/** Hands a file to the reader's downloads. */
function download(name, bytes, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
