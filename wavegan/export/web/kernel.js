// Matrices in the memory of the WebAssembly kernel, and their products. Runs in the worker.

const KERNEL_ROWS = 4;
const KERNEL_COLUMNS = 8;

const upTo = (multiple, count) => Math.ceil(count / multiple) * multiple;

class Kernel {
  constructor(bytes) {
    const { memory, multiply } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
    Object.assign(this, { memory, multiply, used: 0 });
  }

  /** Reserves a buffer of float32 zeros and returns its address. */
  reserve(count) {
    const address = this.used;
    this.used += upTo(16, 4 * count);
    const missing = this.used - this.memory.buffer.byteLength;
    if (missing > 0) this.memory.grow(Math.ceil(missing / 65536));
    return address;
  }

  /** Views numbers in memory; reserving more makes the view useless. */
  view(address, count) {
    return new Float32Array(this.memory.buffer, address, count);
  }

  /** Stores a layer as the kernel reads it. Its weights come from a function of column (output) and input. */
  layer(outputs, inputs, weight, bias = () => 0) {
    const columns = upTo(KERNEL_COLUMNS, outputs);
    const layer = { columns, inputs, weights: this.reserve(columns * inputs), bias: this.reserve(columns) };
    const weights = this.view(layer.weights, columns * inputs);
    const biases = this.view(layer.bias, columns);
    for (let column = 0; column < outputs; column++) {
      const panel = column - (column % KERNEL_COLUMNS);
      for (let input = 0; input < inputs; input++)
        weights[panel * inputs + input * KERNEL_COLUMNS + column - panel] = weight(column, input);
      biases[column] = bias(column);
    }
    return layer;
  }

  /** Writes rows of layer.columns numbers to `result`: as many as asked, and up to three more. stride: in numbers. */
  apply(layer, input, stride, rows, result) {
    const { weights, bias, columns, inputs } = layer;
    this.multiply(input, 4 * stride, weights, bias, result, upTo(KERNEL_ROWS, rows), columns, inputs);
  }
}
