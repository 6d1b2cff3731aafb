"""The inputs of a panel: what stands in them, what is wrong with them, and what they mean together."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import traitlets

from mlip_lab.core.errors import InputError, MlipError
from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.code import printed
from mlip_lab.panels.base.shelf import Shelf
from mlip_lab.panels.base.worker import in_background


class FormModel(traitlets.HasTraits):
    """Observable inputs.

    Attributes:
        raw: What stands in each input, by parameter name.
        problems: What is wrong with an input, in words, by parameter name.
        shown: Names of the fields that mean something with these values.
        code: Python that does what Run would do; "" while an input is not usable.
        about: What there is to know of the inputs before a run, such as what is in a data file.
    """

    raw = traitlets.Dict()
    problems = traitlets.Dict()
    shown = traitlets.Tuple()
    code = traitlets.Unicode()
    about = traitlets.Unicode()

    def __init__(self, capability: Capability, shelf: Shelf, values: Mapping[str, Any] | None = None) -> None:
        """Begin with the capability's defaults and the given values.

        Raises:
            InputError: If a value is for no field.
        """
        super().__init__()
        self.capability, self.shelf = capability, shelf
        self.lock = threading.RLock()
        self.fields = {field.name: field for field in capability.fields}
        self._asked_about: Any = None  # the inputs that `about` was last asked for
        self._refused = ""
        for name in values or {}:
            if name not in self.fields:
                raise InputError(f"{name}: expected one of {', '.join(self.fields)}.")
        self.raw = {
            name: field.raw((values or {}).get(name, capability.defaults.get(name, field.default)))
            for name, field in self.fields.items()
        }

    @property
    def values(self) -> dict[str, Any]:
        """The inputs parsed, by parameter name; structures and potentials by their names on the shelf.

        Raises:
            InputError: If one is not usable.
        """
        return {name: self.parsed(name) for name in self.fields}

    def parsed(self, name: str) -> Any:
        """One input parsed; its default where it has no meaning with the other values."""
        field = self.fields[name]
        if name not in self.shown:
            return None if field.optional else field.default
        value = field.parse(self.raw[name])
        options = self._options(field.kind)
        if options is not None and value not in options:
            raise InputError(f"{field.label}: {value!r} is no longer there; choose another.")
        return value

    def objects(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values with names replaced by entries of the shelf."""
        found = dict(values)
        for name, field in self.fields.items():
            options = self._options(field.kind)
            if options is not None:
                found[name] = options[found[name]]
        return found

    def set(self, name: str, raw: Any) -> None:
        """Put something into an input; nonsense is kept and said to be so."""
        if name not in self.fields:
            raise InputError(f"{name}: expected one of {', '.join(self.fields)}.")
        with self.lock:
            self.raw = {**self.raw, name: self.fields[name].raw(raw)}
            self.refresh()

    def refresh(self) -> None:
        """Work out everything that follows from the inputs."""
        raw = dict(self.raw)
        for name, field in self.fields.items():
            options = self._options(field.kind)
            if options and raw[name] not in options:
                raw[name] = next(iter(options))
        self.raw = raw
        self.shown = self._shown()
        problems = {}
        for name in self.fields:
            try:
                self.parsed(name)
            except InputError as error:
                problems[name] = str(error)
        self.problems = problems
        self.code = "" if problems else printed(self.capability, self.values, self.shelf)
        self._ask_about()

    def obstacle(self) -> str:
        """Why these inputs cannot be run, in words; "" if they can."""
        if self.problems:
            return str(next(iter(self.problems.values())))
        found = self.objects(self.values)
        structures = [found[name].atoms for name, field in self.fields.items() if field.kind == "structure"]
        for name, field in self.fields.items():
            if field.kind == "potential" and structures and (words := found[name].refuses(structures[0])):
                return str(words)
        for name, field in self.fields.items():
            if field.kind == "structure":
                found[name] = found[name].atoms
        return self._refused or str(self.capability.needs(found))

    def _options(self, kind: str) -> dict[str, Any] | None:
        return {"structure": self.shelf.structures, "potential": self.shelf.potentials}.get(kind)

    def _shown(self) -> tuple[str, ...]:
        if self.capability.shown is None:
            return tuple(self.fields)
        chosen: dict[str, Any] = {}
        for name, field in self.fields.items():
            try:
                chosen[name] = field.parse(self.raw[name])
            except InputError:
                chosen[name] = None
        wanted = set(self.capability.shown(chosen))
        return tuple(name for name in self.fields if name in wanted)

    def _ask_about(self) -> None:
        """Have `about` worked out in the background when its inputs have changed."""
        about, of = self.capability.about, self.capability.about_of
        if about is None:
            return
        if any(name in self.problems for name in of):
            self._asked_about, self._refused, self.about = None, "", ""
            return
        values = {name: self.parsed(name) for name in of}
        if values == self._asked_about:
            return
        self._asked_about, self._refused, self.about = values, "Looking at the data.", "Looking at the data."

        def work() -> None:
            try:
                words, refused = about(values), ""
            except MlipError as error:
                words, refused = "", str(error)
            except Exception as error:  # a file may be anything at all
                words, refused = "", f"This cannot be read: {type(error).__name__}: {error}"
            with self.lock:
                if values == self._asked_about:
                    self.about, self._refused = words, refused
                    self.refresh()

        in_background(work)
