"""A potential as a folder: weights.safetensors, config.json, report.json. Nothing in it is ever executed.

config.json holds the format version and the sha256 of the weights, of the report and of itself, so that a truncated,
edited or newer folder is refused in words.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import ExitStack
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as pack_tensors

from mlip_lab.core.errors import FileFormatError, InputError
from mlip_lab.core.files import replacing
from mlip_lab.model.config import PotentialConfig
from mlip_lab.model.potential import Potential

FORMAT = 1
WEIGHTS, CONFIG, REPORT = "weights.safetensors", "config.json", "report.json"


def save(potential: Potential, folder: str | Path) -> Path:
    """Write a potential; config.json, which vouches for the other files, takes its place last.

    Args:
        potential: What to write.
        folder: Made if it is not there; files of a potential in it are replaced.

    Raises:
        InputError: If the folder cannot be written.
    """
    folder = Path(folder)
    arrays = {f"{m}.{name}": array for m, weights in enumerate(potential.members) for name, array in weights.items()}
    arrays |= {f"posterior.{name}": array for name, array in potential.posterior.items()}
    weights = pack_tensors({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    report = _text(dict(potential.report), "report")
    about = {
        "format": FORMAT,
        "members": len(potential.members),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
        "report_sha256": hashlib.sha256(report).hexdigest(),
        "config": potential.config.to_json(),
    }
    config = _text({**about, "sha256": _fingerprint(about)}, "config")
    try:
        with ExitStack() as files:  # all three are whole on the disk before the first takes its place
            for name, content in ((CONFIG, config), (REPORT, report), (WEIGHTS, weights)):
                files.enter_context(replacing(folder / name)).write_bytes(content)
    except OSError as error:
        raise InputError(
            f"Cannot write to the folder {folder}: {error.strerror or error}. Make room or choose another folder."
        ) from error
    return folder


def load(source: str | Path) -> Potential:
    """Load a potential by the name of a packaged set ("si") or from the folder it was saved to.

    Raises:
        InputError: If there is no such folder or packaged potential.
        FileFormatError: If the folder is damaged, was edited, or has a newer format.
    """
    try:
        folder = Path(source)
        found = folder.is_dir()
    except (TypeError, ValueError, OSError) as error:
        raise InputError(f"load: expected a folder or the name of a packaged potential, got {source!r}.") from error
    if not found:
        if str(source) not in packaged_potentials():
            raise InputError(
                f"load: expected a folder or one of {', '.join(packaged_potentials()) or 'no packaged potentials'}; "
                f"got {str(source)!r}."
            )
        folder = _packaged() / str(source)
    about = _about(folder)
    arrays = _arrays(folder, about)
    members: dict[int, dict[str, Any]] = {}
    posterior: dict[str, Any] = {}
    for key, array in arrays.items():
        owner, _, name = key.partition(".")
        if owner == "posterior":
            posterior[name] = array
        elif owner.isdecimal():
            members.setdefault(int(owner), {})[name] = array
        else:
            raise FileFormatError(f"{folder / WEIGHTS}: unexpected array {key!r}. The file was edited.")
    if sorted(members) != list(range(len(members))) or len(members) != about.get("members"):
        raise FileFormatError(f"{folder}: expected {about.get('members')!r} members, got {len(members)}.")
    config = PotentialConfig.from_json(about.get("config", {}))
    report = _vouched(folder / REPORT, about.get("report_sha256"))
    return Potential(config, tuple(members[m] for m in sorted(members)), _parsed(folder / REPORT, report), posterior)


def packaged_potentials() -> tuple[str, ...]:
    """Names of the potentials that ship with the package."""
    root = _packaged()
    return tuple(sorted(p.name for p in root.iterdir() if (p / CONFIG).is_file())) if root.is_dir() else ()


def _packaged() -> Path:
    return Path(str(resources.files("mlip_lab.model") / "packaged"))


def _text(content: dict[str, Any], name: str) -> bytes:
    try:
        return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected what JSON can hold, without NaN: {error}.") from error


def _fingerprint(about: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _about(folder: Path) -> dict[str, Any]:
    """config.json, if it is of a format that can be read and says what it said when it was written."""
    path = folder / CONFIG
    about = _parsed(path, _bytes(path))
    version = about.get("format")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FileFormatError(f"{path}: expected a format version, got {version!r}. The file is damaged.")
    if version > FORMAT:
        raise FileFormatError(f"{folder}: written in format {version}, this version reads {FORMAT}. Update mlip_lab.")
    if about.pop("sha256", None) != _fingerprint(about):
        raise FileFormatError(f"{path}: its content is not the one that was written; it was edited or is damaged.")
    return about


def _arrays(folder: Path, about: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    path = folder / WEIGHTS
    try:
        arrays = parse_tensors(_vouched(path, about.get("weights_sha256")))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path} is not a safetensors file: {error}. The file was edited.") from error
    for name, array in arrays.items():
        if array.dtype != np.float64 or not np.isfinite(array).all():
            raise FileFormatError(f"{path}: expected {name} to hold finite float64 numbers. The file was edited.")
    return dict(arrays)


def _vouched(path: Path, sha256: Any) -> bytes:
    """The bytes of a file whose hash config.json knows."""
    content = _bytes(path)
    if hashlib.sha256(content).hexdigest() != sha256:
        raise FileFormatError(f"{path}: its sha256 is not the one in {CONFIG}; the file was truncated or edited.")
    return content


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror}. Is it the folder of a potential?") from error


def _parsed(path: Path, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} is not JSON: {error}. The file is damaged.") from error
    if not isinstance(found, dict):
        raise FileFormatError(f"{path}: expected an object, got {type(found).__name__}. The file is damaged.")
    return found
