"""Downloads exported models from a hub, and uploads them, by Hugging Face's own client.

It looks for the hub in HF_ENDPOINT, for a token where `hf auth login` or HF_TOKEN put it, and keeps files in its cache.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from wavegan.errors import RunError, UserError
from wavegan.export.folder import CARD, CONFIG, LIBRARY, WEIGHTS

PREFIX = "hub:"
FORM = re.compile(r"(?P<repository>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>[^@\s]+))?", re.ASCII)
LOG_IN = "log in with hf auth login, or set HF_TOKEN"


def is_name(path: Path) -> bool:
    """Says whether a MODEL is named as one on a hub."""
    return path.as_posix().startswith(PREFIX)


def download(path: Path) -> Path:
    """Returns the folder of hub:USER/NAME or hub:USER/NAME@REVISION; what is not in the cache is downloaded.

    Raises UserError for a name of another form and without huggingface_hub, RunError for what is not there, holds no
    exported model or cannot be reached; without a network the cache serves.
    """
    folder = downloaded(path, looks_there=True)
    if not (folder / WEIGHTS).is_file():
        raise RunError(f"{path.as_posix()} holds no {WEIGHTS}", "only what wavegan push uploaded can be read", "")
    return folder


def downloaded(path: Path, *, looks_there: bool = False) -> Path:
    """Returns the folder of a name that `download` was given before; looks_there: asks the hub for changes."""
    repository, revision = _parsed(path.as_posix().removeprefix(PREFIX), PREFIX)
    library = _library()
    with _told(repository, revision):
        folder = library.snapshot_download(
            repository,
            revision=revision,
            allow_patterns=[CONFIG, WEIGHTS, CARD],
            local_files_only=not looks_there,
            library_name=LIBRARY,
        )
    return Path(folder)


def upload(folder: Path, repository: str, *, private: bool = False) -> str:
    """Uploads an exported folder to USER/NAME on the hub, which is made if it is not there; returns its address.

    Raises UserError as `download`, RunError for what the hub refuses and where it cannot be reached.
    """
    library = _library()
    with _told(repository):
        hub = library.HfApi(library_name=LIBRARY)
        address = hub.create_repo(repository, private=private or None, exist_ok=True)
        hub.upload_folder(repo_id=repository, folder_path=folder, commit_message="Upload a model of wavegan")
    return str(address)


def refuse(repository: str) -> None:
    """Raises UserError for a name that is not USER/NAME, and without huggingface_hub."""
    if _parsed(repository)[1]:
        raise UserError(f"{repository} names a revision", "the hub chooses that of an upload", "leave it out")
    _library()


def _parsed(name: str, prefix: str = "") -> tuple[str, str | None]:
    """Returns repository and revision of a name; prefix: what stands before it where a MODEL is named."""
    match = FORM.fullmatch(name)
    if not match:
        rule = f"the form is {prefix}USER/NAME or {prefix}USER/NAME@REVISION"
        raise UserError(f"{prefix}{name} is no name on a hub", rule, _nearest(name, prefix))
    return match["repository"], match["revision"]


def _library() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise UserError("a hub needs huggingface_hub", "", "pip install 'wavegan[hub]' brings it") from error
    return huggingface_hub


@contextmanager
def _told(repository: str, revision: str | None = None) -> Iterator[None]:
    """Turns the client's errors into a RunError of one sentence."""
    from huggingface_hub import constants, errors

    hub = constants.ENDPOINT
    transport: type[Exception] = errors.HfHubHTTPError.__bases__[
        0
    ]  # base class of the errors of the HTTP library that the client uses
    try:
        yield
    except errors.RevisionNotFoundError as error:
        raise RunError(f"{repository} on {hub} has no revision {revision}", "", "check the spelling") from error
    except errors.RepositoryNotFoundError as error:
        remedy = f"check the spelling; if it is private, {LOG_IN}"
        raise RunError(f"{repository} is not on {hub}, or not for you", "", remedy) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        remedy = f"{LOG_IN} to a token that may do this" if status in (401, 403) else "try again later"
        raise RunError(f"{hub} refuses {repository} (HTTP status {status})", "", remedy) from error
    except (OSError, transport) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk
        raise RunError(f"{hub} cannot be reached for {repository}", "", "check the network and HF_ENDPOINT") from error


def _nearest(name: str, prefix: str) -> str:
    """Returns a remedy for a name of another form: an address, one that begins with hub:, one without a user."""
    near = re.sub(r"\s+", "-", re.sub(rf"^({PREFIX}|https?:/+[^/]+/)", "", name).strip("/ "))  # a path holds one /
    if FORM.fullmatch(near):
        return f"try {prefix}{near}"
    return "" if "/" in near or not near else f"put the user's name before it: {prefix}USER/{near}"
