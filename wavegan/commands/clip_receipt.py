"""Keeps in a folder of clips a receipt of the command that made them, so that the same command can go on.

Clip k follows from the model, the settings and k. So after an interruption only the missing clips are made, and clips
of other settings are never taken for these.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from torch import nn

from wavegan.atomic_write import atomic_write

RECEIPT = "clips.json"


class Receipt:
    """Holds how far a command has come with the files that a pattern names, such as "clip-*.wav".

    settings: plain values that decide the sound of every clip. Clips below `finished` are written; those below `begun`
    may be. Both are 0 if other settings, or no command, made the files.
    """

    def __init__(self, folder: Path, pattern: str, settings: dict[str, Any]) -> None:
        self._path, self._pattern, self._settings = folder / RECEIPT, pattern, settings
        self.finished, self.begun = 0, 0
        match _read(self._path).get(pattern):
            case {"settings": earlier, "finished": int(finished), "begun": int(begun)} if 0 <= finished <= begun:
                if earlier == settings:
                    self.finished, self.begun = finished, begun

    def write(self, *, finished: int, begun: int) -> None:
        """Notes how far the command has come."""
        self.finished, self.begun = finished, begun
        here = {"settings": self._settings, "finished": finished, "begun": begun}
        with atomic_write(self._path) as partial:
            partial.write_text(json.dumps(_read(self._path) | {self._pattern: here}, indent=1, ensure_ascii=False))


def weights_hash(network: nn.Module) -> str:
    """Returns a short hash of a network's weights."""
    digest = hashlib.blake2b(digest_size=12)
    for name, values in network.state_dict().items():
        digest.update(name.encode() + values.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any]:
    """Reads the receipts of a folder by pattern; none if the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
