"""The Python that does what a panel does: a complete cell, imports included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mlip_lab
from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.shelf import Shelf, Snippet


def printed(capability: Capability, values: Mapping[str, Any], shelf: Shelf) -> str:
    """Python that makes structure and potential, calls the function and draws its picture.

    Args:
        capability: What the panel shows.
        values: Parsed values by parameter; structures and potentials by their names on the shelf.
        shelf: Where these are.
    """
    call = Snippet(f"{capability.name}(", (f"from {capability.function.__module__} import {capability.name}",))
    if getattr(mlip_lab, capability.name, None) is capability.function:
        call = Snippet(f"mlip_lab.{capability.name}(", ("import mlip_lab",))
    made, arguments = [call], []
    lines = []
    for field in capability.fields:
        value = values[field.name]
        if field.kind in ("structure", "potential"):
            entry = (shelf.structures if field.kind == "structure" else shelf.potentials)[value]
            made.append(entry.code)
            if entry.code.expression != field.name:  # a notebook's own variable may have that very name
                lines.append(f"{field.name} = {entry.code.expression}")
            arguments.append(field.name)
        elif field.kind == "data" and field.default is not None:
            arguments.append(repr(value))
        elif value != field.default:
            arguments.append(f"{field.name}={value!r}")
    imports = sorted(
        {line for snippet in made for line in snippet.imports}, key=lambda line: (line[:4] == "from", line)
    )
    setup = list(dict.fromkeys(line for snippet in made for line in snippet.setup))
    one_line = f"result = {call.expression}{', '.join(arguments)})"
    if len(one_line) > 100:
        one_line = f"result = {call.expression}\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"
    return "\n".join([*imports, "", *setup, *lines, one_line, "result.plot()"]) + "\n"
