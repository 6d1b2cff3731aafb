"""Saving what a panel shows beside the notebook: the picture, and the data with units and where they come from."""

from __future__ import annotations

import io
import time
from pathlib import Path

from mlip_lab import __version__
from mlip_lab.core.errors import MlipError
from mlip_lab.core.files import write_bytes, write_json
from mlip_lab.panels.base.model import PanelModel
from mlip_lab.plots.style import DRAWING


def save_picture(model: PanelModel) -> str:
    """Write the picture as PNG and, when the result is still there, as SVG; say where, or why not."""
    record = model.record
    if record is None:
        return "There is no picture yet."
    name = _free(record.capability, ".png")
    try:
        write_bytes(name, record.picture)
        written = [name.name]
        if model.result is not None:
            buffer = io.BytesIO()
            with DRAWING:
                model.capability.picture(model.result).savefig(buffer, format="svg", facecolor="white")
            write_bytes(name.with_suffix(".svg"), buffer.getvalue())
            written.append(name.with_suffix(".svg").name)
    except MlipError as error:
        return str(error)
    return f"Saved {' and '.join(written)} in {name.parent.resolve()}."


def save_data(model: PanelModel) -> str:
    """Write the data as JSON with units and provenance, and the files that belong to it; say where, or why not."""
    record = model.record
    if record is None:
        return "There are no data yet."
    name = _free(record.capability, ".json")
    numbers = [
        {
            "name": n.name,
            "value": n.value,
            "error": n.error,
            "unit": n.unit,
            "reference": n.reference,
            "source": n.source,
        }
        for n in record.numbers
    ]
    content = {
        "made_by": f"mlip_lab {__version__}",
        "date": time.strftime("%Y-%m-%d %H:%M:%S"),
        "capability": record.capability,
        "inputs": record.values,
        "code": record.code,
        "state": record.state,
        "numbers": numbers,
        "data": record.data,
    }
    try:
        write_json(name, content)
        written = [name.name]
        if model.result is not None:
            for suffix, content_of_file in model.capability.files(model.result).items():
                write_bytes(name.with_suffix(suffix), content_of_file)
                written.append(name.with_suffix(suffix).name)
    except MlipError as error:
        return str(error)
    return f"Saved {', '.join(written)} in {name.parent.resolve()}."


def _free(stem: str, suffix: str) -> Path:
    """A name in the working folder that is not taken."""
    names = (Path(f"{stem}{'' if n == 1 else f'-{n}'}{suffix}") for n in range(1, 10_000))
    return next(name for name in names if not name.exists())
