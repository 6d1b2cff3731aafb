"""What a potential is made of, apart from its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlip_lab.core.checks import one_of
from mlip_lab.core.errors import FileFormatError, InputError

READOUTS = ("linear", "kernel", "neural")
_BOUNDS: dict[str, tuple[float, float]] = {
    "cutoff": (1.0, 12.0),
    "n_radial": (2, 40),
    "n_pair": (2, 60),
    "lmax": (0, 6),
    "n_channels": (1, 128),
    "body_order": (2, 5),
    "n_hidden": (1, 128),
    "n_points": (1, 2000),
    "n_components": (1, 128),
}


@dataclass(frozen=True)
class PotentialConfig:
    """Architecture of a potential.

    Attributes:
        cutoff: Radius in Å beyond which atoms do not see each other.
        n_radial: Radial functions of the many-body densities.
        n_pair: Radial functions of the separate two-body term, at least n_radial.
        lmax: Largest degree of the spherical harmonics.
        n_channels: Radial channels.
        body_order: Largest body order of the invariants, 2 to 5.
        readout: "linear", "kernel" or "neural".
        n_hidden: Hidden units (neural).
        n_points: Representative environments for each element (kernel).
        n_components: Components of the invariants that the kernel compares.
        repulsion: Whether a Ziegler–Biersack–Littmark term acts below the shortest distances of the data.
        numbers: Atomic number of each species; empty until the potential is trained.
        r0: Nearest-neighbour distance of each species pair in Å.
        inner: Distance below which the repulsion is whole, each pair, Å.
        outer: Distance from which the repulsion is zero, each pair, Å.
    """

    cutoff: float = 5.5
    n_radial: int = 10
    n_pair: int = 16
    lmax: int = 4
    n_channels: int = 16
    body_order: int = 4
    readout: str = "neural"
    n_hidden: int = 16
    n_points: int = 400
    n_components: int = 48
    repulsion: bool = True
    numbers: tuple[int, ...] = ()
    r0: tuple[tuple[float, ...], ...] = ()
    inner: tuple[tuple[float, ...], ...] = ()
    outer: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        """Refuse values that make no potential."""
        one_of("readout", self.readout, READOUTS)
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            whole = name == "cutoff" or isinstance(value, int)
            if isinstance(value, bool) or not whole or not isinstance(value, int | float) or not low <= value <= high:
                raise InputError(f"{name}: expected a number from {low:g} to {high:g}, got {value!r}.")
        if self.n_pair < self.n_radial:
            raise InputError(f"n_pair: expected at least n_radial = {self.n_radial}, got {self.n_pair}.")
        n = len(self.numbers)
        if any(len(table) != n or any(len(row) != n for row in table) for table in (self.r0, self.inner, self.outer)):
            raise InputError(f"r0, inner, outer: expected one number for each pair of {n} species.")

    @property
    def n_species(self) -> int:
        """Number of species."""
        return len(self.numbers)

    def species_of(self, numbers: Sequence[int] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Species index of each atom.

        Raises:
            InputError: For an element the potential was not trained on.
        """
        numbers = np.asarray(numbers, dtype=np.int64)
        species = np.full(numbers.shape, -1, np.int64)
        for index, number in enumerate(self.numbers):
            species[numbers == number] = index
        if (species < 0).any():
            unknown = sorted({int(z) for z in numbers[species < 0]})
            raise InputError(
                f"This potential knows the atomic numbers {list(self.numbers)}, got {unknown}. "
                "Train one on data that holds them."
            )
        return species

    def to_json(self) -> dict[str, Any]:
        """As a JSON-able dictionary."""
        return asdict(self)

    @staticmethod
    def from_json(content: dict[str, Any]) -> PotentialConfig:
        """From what `to_json` gave.

        Raises:
            FileFormatError: If keys or values are not those of a configuration.
        """
        known = {field.name for field in fields(PotentialConfig)}
        if not isinstance(content, dict) or set(content) != known:
            raise FileFormatError(f"config: expected the keys {sorted(known)}; the file was edited or is damaged.")
        try:
            tables = {k: tuple(tuple(float(x) for x in row) for row in content[k]) for k in ("r0", "inner", "outer")}
            return PotentialConfig(**{**content, **tables, "numbers": tuple(int(z) for z in content["numbers"])})
        except (InputError, TypeError, ValueError) as error:
            raise FileFormatError(f"config: {error} The file was edited or is damaged.") from error


PRESETS: dict[str, PotentialConfig] = {
    "small": PotentialConfig(cutoff=5.0, n_radial=8, n_pair=12, lmax=3, n_channels=12, n_hidden=8, n_points=200),
    "default": PotentialConfig(),
    "large": PotentialConfig(cutoff=6.0, n_radial=12, n_pair=20, n_channels=32, n_hidden=24, n_points=800),
}


def preset(name: str, readout: str | None = None) -> PotentialConfig:
    """The configuration of a preset, with another readout if given."""
    config = PRESETS[one_of("preset", name, tuple(PRESETS))]
    return config if readout is None else replace(config, readout=one_of("readout", readout, READOUTS))
