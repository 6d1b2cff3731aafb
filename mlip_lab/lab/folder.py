"""A Lab as a folder: `lab.json` lists the parts; each part is a file whose name is the hash of its content.

Parts are written first and `lab.json` last, by a rename, and what is no longer listed goes after that: a kill at any
moment leaves the old Lab or the new one, whole. What is unchanged is not written again. Nothing that is read is
executed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import FixConstraint, dict2constraint

from mlip_lab import __version__
from mlip_lab.calculators.catalogue import by_name
from mlip_lab.core.errors import FileFormatError, InputError, MlipError
from mlip_lab.core.files import write_bytes
from mlip_lab.data.whole import KEPT
from mlip_lab.lab.store import LabStore, catalogue_entry, from_folder, packaged
from mlip_lab.model.files import packaged_potentials
from mlip_lab.model.potential import Potential
from mlip_lab.panels.base.record import Number, Record, Verdict
from mlip_lab.panels.base.shelf import PotentialEntry, Snippet, StructureEntry

FORMAT = 1
INDEX = "lab.json"
KINDS = ("structures", "potentials", "records")
HASH = "[0-9a-f]{32}"


def save(store: LabStore, folder: str | Path) -> str:
    """Write a Lab to a folder, in place of the one that was there.

    Args:
        store: What to save.
        folder: Where to.

    Returns:
        What could not be saved, in words; "" if all was.

    Raises:
        InputError: If the folder cannot be written, or holds something that is no Lab.
    """
    folder = Path(folder)
    words: list[str] = []
    index: dict[str, Any] = {"format": FORMAT, "version": __version__}
    try:
        _refuse_other(folder)
        things: dict[str, tuple[Callable[..., dict[str, Any]], dict[str, Any]]] = {
            "structures": (_structure_part, store.structures),
            "potentials": (_potential_part, store.potentials),
            "records": (_record_part, store.records),
        }
        for kind, (write, entries) in things.items():
            index[kind] = []
            for name, entry in entries.items():
                try:
                    content = {"format": FORMAT, "name": name, **write(folder, entry, words)}
                    index[kind].append(_part(folder, kind, ".json", _json(content)))
                except OSError:
                    raise
                except Exception as error:  # what is kept may come from anywhere
                    words.append(f"{name} cannot be saved: {error}")
        listed = (json.dumps(index, indent=1) + "\n").encode()
        if not (folder / INDEX).is_file() or (folder / INDEX).read_bytes() != listed:
            write_bytes(folder / INDEX, listed)
        _sweep(folder, index)
    except OSError as error:
        raise InputError(f"folder: cannot write to {folder}: {error.strerror or error}. Choose another one.") from error
    return " ".join(words)


def open_folder(folder: str | Path) -> tuple[LabStore, str]:
    """Read a Lab from a folder.

    Args:
        folder: A folder that `save` wrote.

    Returns:
        The Lab's contents, and in words what could not be opened; "" if all was.

    Raises:
        FileFormatError: If the folder holds no Lab, or one of a newer format.
    """
    folder = Path(folder)
    index, words = _index(folder)
    store = LabStore()
    readers: dict[str, Callable[[Path, dict[str, Any]], Any]] = {
        "structures": _structure,
        "potentials": _potential,
        "records": _record,
    }
    for kind, reader in readers.items():
        for part in _listed(folder, kind, index, words):
            name = f"A part of {kind}"
            try:
                content = _parsed(_content(folder, part))
                name = str(content["name"])
                found = reader(folder, content)
            except MlipError as error:
                words.append(f"{name} was left out: {error}")
            except Exception as error:  # a file may hold anything at all
                words.append(f"{name} was left out: it is damaged ({type(error).__name__}).")
            else:
                if isinstance(found, Record):
                    store.records = {**store.records, name: found}
                else:
                    store.add(found)
    return store, " ".join(words)


def _refuse_other(folder: Path) -> None:
    """Refuse a folder with other things in it; what an interrupted first save has left is no such thing."""
    if folder.exists() and not (folder / INDEX).exists():
        names = [path.name for path in folder.iterdir()]
        if any(name not in KINDS and not name.startswith(".") for name in names):
            raise InputError(f"folder: {folder} holds other files and no Lab. Choose an empty or a new folder.")


def _index(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """What lab.json says; nothing, with a word on it, if it is damaged but parts are there."""
    try:
        index = _parsed((folder / INDEX).read_bytes())
        version = index.get("format")
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise ValueError(f"format version {version!r}")
    except (OSError, ValueError, RecursionError) as error:
        try:
            parts = [part for kind in KINDS for part in (folder / kind).glob("*.json")]
        except (OSError, ValueError):
            parts = []
        if not parts:
            raise FileFormatError(f"{folder}: there is no Lab that could be opened ({INDEX}: {error}).") from error
        return {}, [f"{INDEX} is missing or damaged, so the parts that are there were taken, in no special order."]
    if version > FORMAT:
        raise FileFormatError(f"{folder}: saved in format {version}, this version reads {FORMAT}. Update mlip_lab.")
    return index, []


def _listed(folder: Path, kind: str, index: dict[str, Any], words: list[str]) -> list[str]:
    """The parts of a kind: those that lab.json lists, and all that lie there once one of those does not."""
    listed = index.get(kind)
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    whole = isinstance(listed, list) and len(names) == len(listed)
    pattern = re.compile(f"{kind}/{HASH}\\.json")
    known = list(dict.fromkeys(name for name in names if pattern.fullmatch(name) and (folder / name).is_file()))
    if whole and len(known) == len(names):
        return known
    if index:
        words.append(f"The list of {kind} names something that is not there, which was left out.")
    there = sorted(f"{kind}/{path.name}" for path in (folder / kind).glob("*.json"))
    return known + [name for name in there if pattern.fullmatch(name) and name not in known]


def _part(folder: Path, kind: str, suffix: str, content: bytes) -> str:
    """Write a part unless it is there, and give its name below the folder."""
    name = f"{kind}/{_hash(content)}{suffix}"
    if not (folder / name).is_file() or (folder / name).read_bytes() != content:
        write_bytes(folder / name, content)
    return name


def _content(folder: Path, name: Any) -> bytes:
    """A part, if its content is the one that its name speaks of."""
    if not re.fullmatch(f"({'|'.join(KINDS)})/{HASH}\\.(json|png)", str(name)):
        raise FileFormatError(f"{name!r} is no part of a Lab.")
    try:
        content: bytes = (folder / name).read_bytes()
    except OSError as error:
        raise FileFormatError(f"its file {name} cannot be read ({error.strerror}).") from error
    if _hash(content) != Path(name).stem:
        raise FileFormatError(f"its file {name} was edited or is damaged.")
    return content


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _json(content: Any) -> bytes:
    return (json.dumps(_strict(content), allow_nan=False) + "\n").encode()


def _strict(value: Any) -> Any:
    """As strict JSON, which knows no NaN; Python prints floats with all their digits."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    return str(value) if isinstance(value, Path) else value


def _parsed(content: bytes) -> dict[str, Any]:
    found = json.loads(content, object_hook=lambda item: float(item["float"]) if item.keys() == {"float"} else item)
    if not isinstance(found, dict):
        raise ValueError(f"expected an object, got {type(found).__name__}")
    return found


def _structure_part(_: Path, entry: StructureEntry, words: list[str]) -> dict[str, Any]:
    atoms = entry.atoms
    content: dict[str, Any] = {name: getattr(atoms, name) for name in ("numbers", "positions", "pbc")}
    content["cell"] = atoms.cell.array
    content["arrays"] = {name: atoms.arrays[name] for name in KEPT if atoms.has(name)}
    try:
        content["constraints"] = [constraint.todict() for constraint in atoms.constraints]
        json.dumps(_strict(content["constraints"]))
    except (AttributeError, NotImplementedError, TypeError):
        content["constraints"] = []
        words.append(f"{entry.name} was saved without its constraints, which cannot be written.")
    return {"atoms": content, "code": asdict(entry.code)}


def _structure(_: Path, content: dict[str, Any]) -> StructureEntry:
    found, code = content["atoms"], content["code"]
    atoms = Atoms(numbers=found["numbers"], positions=found["positions"], cell=found["cell"], pbc=found["pbc"])
    for name in KEPT:
        if name in found["arrays"]:
            atoms.set_array(name, np.array(found["arrays"][name], dtype=int if name == "tags" else float))
    constraints = [dict2constraint(constraint) for constraint in found["constraints"]]
    if not all(isinstance(constraint, FixConstraint) for constraint in constraints):
        raise FileFormatError("one of its constraints is none.")
    atoms.set_constraint(constraints)
    snippet = Snippet(str(code["expression"]), tuple(map(str, code["imports"])), tuple(map(str, code["setup"])))
    return StructureEntry(str(content["name"]), atoms, snippet)


def _potential_part(folder: Path, entry: PotentialEntry, _: list[str]) -> dict[str, Any]:
    if entry.source["kind"] in ("packaged", "catalogue"):
        return {"source": entry.source}
    potential = getattr(entry.calculator, "potential", None)
    if not isinstance(potential, Potential):
        raise InputError("it was made in Python, which a folder cannot hold.")
    return {"source": {"kind": "folder", "path": _weights(folder, potential)}}


def _weights(folder: Path, potential: Potential) -> str:
    """Write a trained potential unless it is there, and give its name below the folder."""
    home = folder / "potentials"
    home.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=home))
    try:
        potential.save(temporary)
        temporary.chmod(home.stat().st_mode & 0o777)
        files = {path.name: path.read_bytes() for path in temporary.iterdir()}
        target = home / _hash(files["config.json"])  # which holds the hashes of the others
        if not target.is_dir() or any(
            not (target / name).is_file() or (target / name).read_bytes() != content for name, content in files.items()
        ):
            shutil.rmtree(target, ignore_errors=True)
            os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return f"potentials/{target.name}"


def _potential(folder: Path, content: dict[str, Any]) -> PotentialEntry:
    source, name = content["source"], str(content["name"])
    if source["kind"] == "packaged":
        if source["name"] not in packaged_potentials():
            raise FileFormatError(f"this version has no packaged potential {source['name']!r}.")
        return replace(packaged(source["name"]), name=name)
    if source["kind"] == "catalogue":
        options = dict(source["options"])
        model = options.get("model")
        if model and (not Path(model).is_absolute() or Path(model).resolve().is_relative_to(folder.resolve())):
            raise FileFormatError(
                "its weights came with the folder and could run code. Add it again if you trust them."
            )
        return replace(catalogue_entry(by_name(source["name"]), options), name=name)
    if source["kind"] != "folder" or not re.fullmatch(f"potentials/{HASH}", source["path"]):
        raise FileFormatError(f"{source!r} is no source of a potential.")
    return from_folder(folder / source["path"], name)


def _record_part(folder: Path, record: Record, _: list[str]) -> dict[str, Any]:
    return {"record": {**asdict(record), "picture": _part(folder, "records", ".png", record.picture)}}


def _record(folder: Path, content: dict[str, Any]) -> Record:
    found = content["record"]
    found["picture"] = _content(folder, found["picture"])
    found["verdicts"] = tuple(Verdict(**verdict) for verdict in found["verdicts"])
    found["numbers"] = tuple(Number(**number) for number in found["numbers"])
    return Record(**found)


def _sweep(folder: Path, index: dict[str, Any]) -> None:
    """Remove parts that nothing names any more, and what a kill in the middle of writing has left."""
    used = {Path(name).name for kind in KINDS for name in index[kind]}
    for name in [name for kind in ("potentials", "records") for name in index[kind]]:
        content = _parsed((folder / name).read_bytes())
        used.add(Path(content["record"]["picture"] if "record" in content else content["source"].get("path", "")).name)
    for path in folder.glob(".lab-*.json"):
        path.unlink()
    for kind in KINDS:
        for path in (folder / kind).glob("*") if (folder / kind).is_dir() else ():
            if path.name not in used and re.match(f"\\.new-|\\.?{HASH}", path.name):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
