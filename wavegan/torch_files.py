"""Reads files of tensors and plain values from anywhere, and says of a damaged or foreign one what is wrong with it."""

import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor


class ContentError(Exception):
    """Says what is wrong with the content of a file, as a clause for a sentence."""


class Fields(BaseModel):
    """Describes the fields of a file; a subclass lists them. Numbers must be finite; other fields are passed over."""

    model_config = ConfigDict(strict=True, arbitrary_types_allowed=True, allow_inf_nan=False)

    @classmethod
    def check(cls, content: Any) -> None:
        """Raises ContentError for the first field that is missing or of another kind."""
        try:
            cls.model_validate(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise ContentError(f"{place}: {first['msg']}" if place else first["msg"]) from error


def read(path: Path) -> Any:
    """Loads the content of a file, on the CPU, without running any code in it.

    Raises ContentError for a file that is damaged, FileNotFoundError for one that is not there.
    """
    try:
        with path.open("rb") as file:
            sizes = _checked_sizes(file)
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)
        # torch takes the length of a tensor's memory from the text, not from the part that holds it.
        storages = {part.untyped_storage().data_ptr(): part.untyped_storage().nbytes() for part in tensors(content)}
        if Counter(storages.values()) - Counter([*sizes, 0]):
            raise ContentError("a tensor is longer than the numbers stored for it")
        return content
    except (FileNotFoundError, ContentError):
        raise
    except Exception as error:  # damaged text makes torch.load raise errors of any class
        reason = (str(error).splitlines() or [""])[0][:120]
        is_clear = isinstance(error, OSError | RuntimeError | ValueError | zipfile.BadZipFile) and reason
        raise ContentError(reason if is_clear else f"{type(error).__name__} {reason}".strip()) from error


def tensors(content: Any) -> Iterator[Tensor]:
    """Yields all tensors in nested mappings and lists."""
    if isinstance(content, Tensor):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from tensors(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from tensors(value)


def refuse_other_form(expected: Any, stored: Any, place: str) -> None:
    """Raises ContentError unless nested mappings have the same keys and their tensors the same shapes and kinds.

    Their numbers must be finite. expected: may lie on the device "meta". place: the name of the content in the text.
    """
    if isinstance(expected, Mapping):
        if not isinstance(stored, Mapping):
            raise ContentError(f"{place} is no mapping")
        missing, extra = [list(a.keys() - b.keys()) for a, b in ((expected, stored), (stored, expected))]
        if missing or extra:
            raise ContentError(
                f"{place} {f'lacks {missing[0]}' if missing else f'has {extra[0]}, which does not belong'}"
            )
        for name, value in expected.items():
            refuse_other_form(value, stored[name], f"{place}.{name}")
    elif isinstance(expected, Tensor):
        if not isinstance(stored, Tensor) or (stored.shape, stored.dtype) != (expected.shape, expected.dtype):
            its = f"{_form(stored)}" if isinstance(stored, Tensor) else type(stored).__name__
            raise ContentError(f"{place} is {its} and must be {_form(expected)}")
        if not stored.isfinite().all():
            raise ContentError(f"{place} holds a number that is not finite")
    elif type(stored) is not type(expected):
        raise ContentError(f"{place} is {type(stored).__name__} and must be {type(expected).__name__}")


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')}{tuple(tensor.shape)}"


def _checked_sizes(file: Any) -> list[int]:
    """Returns the sizes of the parts of a file that torch.save wrote; raises BadZipFile for one that it did not write.

    torch.load does not look at checksums, and would read flipped bits as weights.
    """
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise zipfile.BadZipFile("a part is compressed")
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
        order = [part for part in parts if part.filename.endswith("/byteorder")]
        if order and archive.read(order[0]) != sys.byteorder.encode():
            raise zipfile.BadZipFile("its numbers are in another byte order")
        return [part.file_size for part in parts]
