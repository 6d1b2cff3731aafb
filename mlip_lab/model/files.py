"""A potential as a folder: weights.safetensors, config.json, report.json. Nothing in it is ever executed.

config.json holds the format version and the sha256 of the weights, so that a truncated, edited or newer folder is
refused in words.
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as parse_tensors
from safetensors.numpy import save as pack_tensors

from mlip_lab.core.errors import FileFormatError, InputError
from mlip_lab.core.files import write_bytes, write_json
from mlip_lab.model.config import PotentialConfig
from mlip_lab.model.potential import Potential

FORMAT = 1
WEIGHTS, CONFIG, REPORT = "weights.safetensors", "config.json", "report.json"


def save(potential: Potential, folder: str | Path) -> Path:
    """Write a potential; config.json, which vouches for the weights, is written last.

    Args:
        potential: What to write.
        folder: Made if it is not there; files of a potential in it are replaced.

    Raises:
        InputError: If the folder cannot be written.
    """
    folder = Path(folder)
    arrays = {f"{m}.{name}": array for m, weights in enumerate(potential.members) for name, array in weights.items()}
    arrays |= {f"posterior.{name}": array for name, array in potential.posterior.items()}
    content = pack_tensors({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    write_bytes(folder / WEIGHTS, content)
    write_json(folder / REPORT, potential.report)
    write_json(
        folder / CONFIG,
        {
            "format": FORMAT,
            "members": len(potential.members),
            "weights_sha256": hashlib.sha256(content).hexdigest(),
            "config": potential.config.to_json(),
        },
    )
    return folder


def load(source: str | Path) -> Potential:
    """Load a potential by the name of a packaged set ("si") or from the folder it was saved to.

    Raises:
        InputError: If there is no such folder or packaged potential.
        FileFormatError: If the folder is damaged, was edited, or has a newer format.
    """
    folder = Path(source)
    if not folder.is_dir():
        if str(source) not in packaged_potentials():
            raise InputError(
                f"load: expected a folder or one of {', '.join(packaged_potentials()) or 'no packaged potentials'}; "
                f"got {str(source)!r}."
            )
        folder = _packaged() / str(source)
    content = _json(folder / CONFIG)
    version = content.get("format")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise FileFormatError(f"{folder / CONFIG}: expected a format version, got {version!r}. The file is damaged.")
    if version > FORMAT:
        raise FileFormatError(f"{folder}: written in format {version}, this version reads {FORMAT}. Update mlip_lab.")
    try:
        data = (folder / WEIGHTS).read_bytes()
    except OSError as error:
        raise FileFormatError(f"{folder / WEIGHTS} cannot be read: {error.strerror}. The folder is damaged.") from error
    if hashlib.sha256(data).hexdigest() != content.get("weights_sha256"):
        raise FileFormatError(f"{folder / WEIGHTS}: its sha256 is not the one in {CONFIG}; truncated or edited.")
    try:
        arrays = parse_tensors(data)
    except SafetensorError as error:
        raise FileFormatError(f"{folder / WEIGHTS} is not a safetensors file: {error}.") from error
    members: dict[int, dict[str, Any]] = {}
    posterior: dict[str, Any] = {}
    for key, array in arrays.items():
        owner, _, name = key.partition(".")
        if owner == "posterior":
            posterior[name] = array
        elif owner.isdigit():
            members.setdefault(int(owner), {})[name] = array
        else:
            raise FileFormatError(f"{folder / WEIGHTS}: unexpected array {key!r}. The file was edited.")
    if sorted(members) != list(range(content.get("members", -1))):
        raise FileFormatError(f"{folder}: expected {content.get('members')} members, got {len(members)}.")
    config = PotentialConfig.from_json(content.get("config", {}))
    return Potential(config, tuple(members[m] for m in sorted(members)), _json(folder / REPORT), posterior)


def packaged_potentials() -> tuple[str, ...]:
    """Names of the potentials that ship with the package."""
    root = _packaged()
    return tuple(sorted(p.name for p in root.iterdir() if (p / CONFIG).is_file())) if root.is_dir() else ()


def _packaged() -> Path:
    return Path(str(resources.files("mlip_lab.model") / "packaged"))


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror}. Is it the folder of a potential?") from error
    except (ValueError, RecursionError) as error:
        raise FileFormatError(f"{path} is not JSON: {error}. The file is damaged.") from error
    if not isinstance(content, dict):
        raise FileFormatError(f"{path}: expected an object, got {type(content).__name__}. The file is damaged.")
    return content
