"""Damages files and their contents at random, the same way for the same seed."""

import copy
import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

HEADER = 160  # bytes at the start, where half of the damage goes: there are the numbers that others follow from
PLAIN = (None, True, "x", "", -1, 0, 1, 3.5, 10**30, 2**31, float("nan"), float("inf"), [], {}, [["a"]], {"a": {}})


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Returns a file's bytes with one to four faults: flipped, cut off, zeroed, doubled, exchanged or foreign parts."""
    result = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        size = len(result)
        if not size:
            break
        place = chance.randrange(min(size, HEADER) if chance.random() < 0.5 else size)
        length = min(chance.choice((1, 2, 4, 8, 64, 1000)), size - place)
        kind = chance.randrange(8)
        if kind <= 2:
            result[place] ^= 1 << chance.randrange(8)
        elif kind == 3:
            result[place : place + length] = bytes(length)
        elif kind == 4:
            result[place : place + length] = chance.choice((b"\xff", b"\x7f", b"9")) * length
        elif kind == 5:
            other = chance.randrange(size)
            result[place : place + length], result[other : other + length] = (
                result[other : other + length],
                result[place : place + length],
            )
        elif kind == 6:
            result[place:place] = chance.choice((chance.randbytes(length), bytes(result[place : place + length])))
        else:
            del result[place if chance.random() < 0.5 else max(0, size - length) :]
    return bytes(result)


def changed(content: Any, chance: random.Random) -> Any:
    """Returns a nested content with one part of another value, kind or shape, missing, renamed or added."""
    content = copy.deepcopy(content)
    holders = [holder for holder in _holders(content) if len(holder)]
    if not holders:
        return chance.choice(PLAIN)
    holder = chance.choice(holders[: 1 + chance.randrange(len(holders))])
    key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    kind = chance.randrange(6)
    if kind == 0 and isinstance(holder, dict):
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[chance.choice(("other", 7))] = holder.pop(key)
    elif isinstance(holder[key], Tensor) and kind != 2:
        holder[key] = _other_tensor(holder[key], chance)
    else:
        holder[key] = chance.choice((*PLAIN, torch.zeros(2))) if _has_tensors(content) else chance.choice(PLAIN)
    return content


def changed_torch_file(data: bytes, chance: random.Random) -> bytes:
    """Returns a file of torch.save with whole checksums and other content: changed values, or a damaged pickle."""
    if chance.random() < 0.3:
        return _with_damaged_pickle(data, chance)
    content = changed(torch.load(io.BytesIO(data), weights_only=True), chance)
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def changed_json(data: bytes, chance: random.Random) -> bytes:
    """Returns JSON, or one line of JSON lines, with another content."""
    lines = data.splitlines()
    try:
        return json.dumps(changed(json.loads(data), chance)).encode()
    except ValueError:
        place = chance.randrange(len(lines))
        lines[place] = json.dumps(changed(json.loads(lines[place]), chance)).encode()
        return b"\n".join(lines) + b"\n"


def mutated(path: Path, chance: random.Random) -> bytes:
    """Returns the bytes of a file after a fault that fits its kind."""
    data = path.read_bytes()
    by_content = {".pt": changed_torch_file, ".json": changed_json, ".jsonl": changed_json}.get(path.suffix)
    return by_content(data, chance) if by_content and chance.random() < 0.6 else damaged(data, chance)


def _holders(content: Any) -> list[Any]:
    if isinstance(content, dict | list):
        parts = content.values() if isinstance(content, dict) else content
        return [content, *(holder for part in parts for holder in _holders(part))]
    return []


def _has_tensors(content: Any) -> bool:
    return any(isinstance(part, Tensor) for holder in _holders(content) for part in _parts(holder))


def _parts(holder: Any) -> list[Any]:
    return list(holder.values() if isinstance(holder, dict) else holder)


def _other_tensor(tensor: Tensor, chance: random.Random) -> Tensor:
    values = tensor.clone()
    if values.is_floating_point() and values.numel() and chance.random() < 0.5:
        values.flatten()[chance.randrange(values.numel())] = chance.choice((float("nan"), float("inf"), -1e38, -1.0))
        return values
    return chance.choice(
        (values[None], values.to(torch.int32), values.double(), torch.zeros(0), torch.zeros(1).expand(10**9))
    )


def _with_damaged_pickle(data: bytes, chance: random.Random) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as whole, zipfile.ZipFile(buffer, "w") as other:
        for part in whole.infolist():
            content = whole.read(part)
            other.writestr(part.filename, damaged(content, chance) if part.filename.endswith("data.pkl") else content)
    return buffer.getvalue()
