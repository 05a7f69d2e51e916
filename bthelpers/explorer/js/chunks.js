// Arrays as bthelpers.explorer.chunks packs them.

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Undo the order by byte and the differences between rows.
function wholeNumbers(bytes, [rows, columns], bits, size) {
  const mask = bits < 32 ? (1 << bits) - 1 : -1;
  const count = rows * columns;
  const numbers = new { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[size](count);
  for (let place = 0; place < size; place++) {
    const plane = bytes.subarray(place * count, (place + 1) * count);
    const shift = 8 * place;
    for (let i = 0; i < count; i++) numbers[i] |= plane[i] << shift;
  }
  for (let i = columns; i < count; i++) numbers[i] = (numbers[i] + numbers[i - columns]) & mask;
  return numbers;
}

function valuesOf(codes, low, step) {
  const values = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) values[i] = codes[i] ? low + (codes[i] - 1) * step : NaN;
  return values;
}

export async function unpack(bytes) {
  const raw = await inflate(bytes);
  const length = new DataView(raw.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(raw.subarray(4, 4 + length)));
  const arrays = {};
  let start = 4 + length;
  for (const [name, { shape, bits, low, step }] of Object.entries(header)) {
    const size = bits > 16 ? 4 : Math.ceil(bits / 8);
    const stop = start + size * shape[0] * shape[1];
    const numbers = wholeNumbers(raw.subarray(start, stop), shape, bits, size);
    arrays[name] = { shape, values: step === undefined ? numbers : valuesOf(numbers, low, step) };
    start = stop;
  }
  return arrays;
}

// Chunks of a model, each asked for once, as promises.
export function chunkReader(model) {
  const asked = new Map();
  const waiting = new Map();
  model.on("msg:custom", (message, buffers) => {
    const promised = waiting.get(message.chunk);
    if (!promised) return;
    waiting.delete(message.chunk);
    if (message.error) promised.reject(new Error(message.error));
    else promised.resolve(new Uint8Array(buffers[0].buffer, buffers[0].byteOffset, buffers[0].byteLength));
  });
  return (key) => {
    if (!asked.has(key)) {
      const arrived = new Promise((resolve, reject) => waiting.set(key, { resolve, reject }));
      model.send({ chunk: key });
      asked.set(key, arrived.then((bytes) => unpack(bytes).catch(() => {
        throw new Error(`The data of ${key} are damaged: build the book again.`);
      })));
    }
    return asked.get(key);
  };
}
