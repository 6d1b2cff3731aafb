"""From one labelled file to the two files of a packaged set.

Run as `python -m mlip_lab.data.split labelled.xyz folder`: frames with info["split"] of "train" and "test" go to
`train.xyz.gz` and `test.xyz.gz`, the kinds together.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ase import Atoms
from ase.io import read

from mlip_lab.core.errors import DataError
from mlip_lab.data.label import write_labelled


def split(labelled: str | Path, folder: str | Path) -> dict[str, int]:
    """Write `train.xyz.gz` and `test.xyz.gz`.

    Args:
        labelled: File of labelled frames with info["split"] and info["config_type"].
        folder: Where the two files go.

    Returns:
        The number of frames in each.

    Raises:
        DataError: If a frame belongs to neither.
    """
    parts: dict[str, list[Atoms]] = {"train": [], "test": []}
    for index, atoms in enumerate(read(labelled, ":")):
        name = atoms.info.pop("split", None)
        if name not in parts:
            raise DataError(f"{labelled}: frame {index} has split={name!r}; expected train or test.")
        parts[name].append(atoms)
    for name, frames in parts.items():
        frames.sort(key=lambda a: str(a.info.get("config_type", "")))
        write_labelled(Path(folder) / f"{name}.xyz.gz", frames)
    return {name: len(frames) for name, frames in parts.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("labelled", help="file of labelled frames")
    parser.add_argument("folder", help="folder of the set")
    chosen = parser.parse_args(arguments)
    split(chosen.labelled, chosen.folder)


if __name__ == "__main__":
    main()
