"""Tests the kernel of the instrument: its binary is its text, and its products are NumPy's."""

from pathlib import Path

import numpy as np
import pytest
import wasmtime

from wavegan.export import web

FOLDER = Path(web.__file__).parent


def test_the_binary_is_the_text_translated():
    assert (FOLDER / "kernel.wasm").read_bytes() == wasmtime.wat2wasm((FOLDER / "kernel.wat").read_text())


@pytest.mark.parametrize(
    ("rows", "columns", "inner", "stride"), [(4, 8, 1, 1), (8, 24, 5, 5), (12, 16, 40, 8), (4, 8, 7, 0)]
)
def test_a_product_is_numpys_also_where_rows_overlap(rows, columns, inner, stride):
    """A stride below the row's length is a convolution, a stride of 0 one row for all."""
    store = wasmtime.Store()
    module = wasmtime.Module.from_file(store.engine, str(FOLDER / "kernel.wasm"))
    exports = wasmtime.Instance(store, module, []).exports(store)
    random = np.random.default_rng(0)
    sound = random.normal(size=(rows - 1) * stride + inner).astype(np.float32)
    weights, bias = (random.normal(size=shape).astype(np.float32) for shape in [(columns, inner), columns])
    panels = weights.reshape(columns // 8, 8, inner).transpose(0, 2, 1)
    places, content = [], b""
    for part in (sound, panels, bias, np.full((rows + 1) * columns, 7, np.float32)):
        places.append(len(content))
        content += part.tobytes() + bytes(-part.nbytes % 16)
    memory, multiply = exports["memory"], exports["multiply"]
    assert isinstance(memory, wasmtime.Memory) and isinstance(multiply, wasmtime.Func)
    memory.write(store, content, 0)
    source, matrix, offset, result = places
    multiply(store, source, 4 * stride, matrix, offset, result, rows, columns, inner)
    read = np.frombuffer(memory.read(store, result, len(content)), np.float32)
    frames = np.stack([sound[row * stride : row * stride + inner] for row in range(rows)]).astype(np.float64)
    np.testing.assert_allclose(read[: rows * columns].reshape(rows, columns), frames @ weights.T + bias, atol=1e-4)
    assert (read[rows * columns :] == 7).all(), "nothing is written beyond the rows"
