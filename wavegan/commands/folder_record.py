"""Keeps a record of the command that makes a folder of clips, so that the same command can continue.

Clip k depends only on the model, the settings and k. So after an interruption only the missing clips are made. Clips
made with other settings are never reused.
"""

import json
from pathlib import Path
from typing import Any

from wavegan.atomic_write import write_text

RECORD = "clips.json"


class FolderRecord:
    """Holds how far a command has come with the files that a pattern names, such as "clip-*.wav".

    settings: plain values that decide the sound of every clip. Clips below `finished` are written; those below `begun`
    may be. Both are 0 if other settings, or no command, made the files.
    """

    def __init__(self, folder: Path, pattern: str, settings: dict[str, Any]) -> None:
        self._path, self._pattern, self._settings = folder / RECORD, pattern, settings
        self.finished, self.begun = 0, 0
        match _read(self._path).get(pattern):
            case {"settings": earlier, "finished": int(finished), "begun": int(begun)} if 0 <= finished <= begun:
                if earlier == settings:
                    self.finished, self.begun = finished, begun

    def write(self, *, finished: int, begun: int) -> None:
        """Records how far the command has come."""
        self.finished, self.begun = finished, begun
        entry = {"settings": self._settings, "finished": finished, "begun": begun}
        write_text(self._path, json.dumps(_read(self._path) | {self._pattern: entry}, indent=1, ensure_ascii=False))


def _read(path: Path) -> dict[str, Any]:
    """Reads the records of a folder by pattern; {} if the file is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
