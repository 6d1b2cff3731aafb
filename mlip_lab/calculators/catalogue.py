"""The catalogue: ASE calculators by name, each with what it needs said in words when that is absent.

Looking at the catalogue imports none of them, and nothing is downloaded: a potential whose weights are fetched from the
network by its own package is asked for a file.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from ase import Atoms
from ase.data import chemical_symbols

from mlip_lab.core.checks import one_of
from mlip_lab.core.errors import InputError
from mlip_lab.core.quantities import Quantity, validated

Energy = Annotated[float, Quantity("eV", low=0.0, high=100.0, open_low=True)]
Distance = Annotated[float, Quantity("Å", low=0.1, high=100.0)]
PlaneWaves = Annotated[float, Quantity("eV", low=50.0, high=3000.0)]
Rydberg = Annotated[float, Quantity("Ry", low=5.0, high=250.0)]
Spacing = Annotated[float, Quantity("1/Å", low=0.02, high=3.0)]
Parameters = Literal["GFN2-xTB", "GFN1-xTB"]
Functional = Literal["PBE", "LDA"]
TWO_PI = 6.283185307179586
EMT_ELEMENTS = ("H", "C", "N", "O", "Al", "Ni", "Cu", "Pd", "Ag", "Pt", "Au")


@dataclass(frozen=True)
class CatalogueItem:
    """One kind of calculator.

    Attributes:
        name: What people call it.
        meaning: One sentence on it.
        make: Makes the calculator; annotated, so that a form is drawn from it.
        packages: Python packages it needs, and how to get each.
        programs: Programs it needs, and how to get each.
        elements: Symbols it knows; empty for all.
        elements_of: Its options → the symbols it knows with them.
        cell: Whether it needs a structure that is periodic in three directions (True), or in none (False).
        alike: Whether it cannot tell one element from another.
    """

    name: str
    meaning: str
    make: Callable[..., Any]
    packages: tuple[tuple[str, str], ...] = ()
    programs: tuple[tuple[str, str], ...] = ()
    elements: tuple[str, ...] = ()
    elements_of: Callable[..., tuple[str, ...]] | None = None
    cell: bool | None = None
    alike: bool = False

    @property
    def available(self) -> bool:
        """Whether it can be used here."""
        return not self.needs

    @property
    def needs(self) -> str:
        """What is missing here, in words; "" if nothing is."""
        for package, how in self.packages:
            if find_spec(package) is None:
                return f"{self.name} is not installed. Use {how}."
        for program, how in self.programs:
            if shutil.which(program) is None:
                return f"{self.name} needs the program {program}, which was not found. Use {how}."
        return ""

    def refuses(self, atoms: Atoms, **options: Any) -> str:
        """Why it cannot do this structure with these options, in words; "" if it can."""
        held = sorted(set(atoms.get_chemical_symbols()))
        known = self.elements_of(**options) if self.elements_of else self.elements
        if known and (unknown := set(held) - set(known)):
            there = ", ".join(sorted(unknown))
            return f"{self.name} knows {_listed(known)}; this structure holds {there}. Choose another potential."
        if self.alike and len(held) > 1:
            return f"{self.name} takes all atoms to be alike; this structure holds {', '.join(held)}."
        if self.cell is True and not (atoms.pbc.all() and atoms.cell.rank == 3):
            return f"{self.name} needs a cell that is periodic in three directions. Choose a crystal."
        if self.cell is False and atoms.pbc.any():
            return f"{self.name} does molecules here; this structure is periodic. Choose a molecule."
        return ""


def _listed(symbols: tuple[str, ...]) -> str:
    return ", ".join(symbols) if len(symbols) < 20 else f"{symbols[0]} to {symbols[-1]}"


def unknown_elements(name: str, known: tuple[int, ...], atoms: Atoms) -> str:
    """Why a trained potential cannot do a structure, in words; "" if it can."""
    unknown = sorted(set(int(z) for z in atoms.numbers) - set(known))
    if not unknown:
        return ""
    learned, new = (", ".join(chemical_symbols[z] for z in numbers) for numbers in (known, unknown))
    return f"{name} has learned {learned}; this structure holds {new}. Choose another potential."


def emt() -> Any:
    """Effective-medium theory of ASE."""
    from ase.calculators.emt import EMT

    return EMT()


@validated
def lennard_jones(*, epsilon: Energy = 0.0103, sigma: Distance = 3.4, cutoff: Distance = 8.5) -> Any:
    """Lennard-Jones, with argon's numbers to begin with.

    Args:
        epsilon: Depth of the well.
        sigma: Distance at which the energy is zero.
        cutoff: Distance beyond which there is none; it goes smoothly to zero.
    """
    from ase.calculators.lj import LennardJones

    return LennardJones(epsilon=epsilon, sigma=sigma, rc=cutoff, smooth=True)


def mace(*, model: str = "") -> Any:
    """MACE from a file of weights.

    Args:
        model: The file, downloaded before; nothing is fetched from here. Such files can run code when they are
            loaded, so take one from a source you trust.
    """
    path = _file("model", model)
    from mace.calculators import MACECalculator

    return MACECalculator(model_paths=str(path), device="cpu", default_dtype="float64")


def chgnet() -> Any:
    """CHGNet with the weights in its package."""
    from chgnet.model.dynamics import CHGNetCalculator

    return CHGNetCalculator(use_device="cpu")


def sevennet() -> Any:
    """SevenNet-0 with the weights in its package."""
    from sevenn.calculator import SevenNetCalculator

    return SevenNetCalculator("7net-0", device="cpu")


def xtb(*, method: Parameters = "GFN2-xTB") -> Any:
    """Extended tight binding.

    Args:
        method: Which parametrisation.
    """
    one_of("method", method, get_args(Parameters))
    from tblite.ase import TBLite

    return TBLite(method=method, verbosity=0)


@validated
def gpaw(*, cutoff: PlaneWaves = 350.0, xc: Functional = "PBE", kspacing: Spacing = 0.25) -> Any:
    """GPAW with plane waves.

    Args:
        cutoff: Energy of the largest plane wave.
        xc: Exchange and correlation.
        kspacing: Largest distance between k-points, 2π included.
    """
    one_of("xc", xc, get_args(Functional))
    from gpaw import GPAW, PW

    return GPAW(mode=PW(cutoff), xc=xc, kpts={"density": 1.0 / kspacing, "gamma": True}, txt=None)


@validated
def espresso(
    *,
    pseudopotentials: str = "Si.pbe-rrkj.UPF",
    folder: str = "/usr/share/espresso/pseudo",
    cutoff: Rydberg = 24.0,
    kspacing: Spacing = 0.25,
) -> Any:
    """Quantum ESPRESSO's pw.x with cold smearing.

    Args:
        pseudopotentials: Files with spaces between, one for each element, whose symbol its name begins with.
        folder: Where they lie.
        cutoff: Energy of the largest plane wave; eight times that for the density.
        kspacing: Largest distance between k-points, 2π included.
    """
    from ase.calculators.espresso import Espresso, EspressoProfile

    by_element = dict(zip(_pseudo_elements(pseudopotentials), pseudopotentials.split(), strict=True))
    for name in by_element.values():
        _file("pseudopotentials", str(Path(folder) / name))
    system = {"ecutwfc": cutoff, "ecutrho": 8.0 * cutoff, "occupations": "smearing", "smearing": "m-v", "degauss": 0.01}
    scratch = tempfile.TemporaryDirectory(prefix="mlip_lab-pw-")
    calculator = Espresso(
        profile=EspressoProfile(command="pw.x", pseudo_dir=Path(folder)),
        pseudopotentials=by_element,
        input_data={"control": {"tprnfor": True, "tstress": True}, "system": system},
        kspacing=kspacing / TWO_PI,  # ASE leaves 2π out
        directory=scratch.name,
    )
    weakref.finalize(calculator, scratch.cleanup)
    return calculator


def _pseudo_elements(pseudopotentials: str = "Si.pbe-rrkj.UPF", **_: Any) -> tuple[str, ...]:
    found = [re.split(r"[^A-Za-z]", name)[0].capitalize() for name in pseudopotentials.split()]
    if not found or any(symbol not in chemical_symbols[1:] for symbol in found) or len(set(found)) < len(found):
        raise InputError(
            f"pseudopotentials: expected files such as Si.pbe-rrkj.UPF, one for each element; got {pseudopotentials!r}."
        )
    return tuple(found)


def pyscf(*, xc: str = "b3lyp", basis: str = "def2-svp") -> Any:
    """PySCF for molecules with closed shells.

    Args:
        xc: Exchange and correlation.
        basis: Basis set.
    """
    from mlip_lab.calculators.molecular import PySCFCalculator

    return PySCFCalculator(xc=xc, basis=basis)


def _file(name: str, path: str) -> Path:
    if not path or not Path(path).is_file():
        raise InputError(f"{name}: expected the path of a file, got {path!r}. Nothing is downloaded from here.")
    return Path(path)


CATALOGUE = (
    CatalogueItem(
        "EMT",
        "Effective-medium theory: quick and rough, for a few metals; H, C, N and O only to play with.",
        emt,
        elements=EMT_ELEMENTS,
    ),
    CatalogueItem("Lennard-Jones", "The simplest pair potential; argon to begin with.", lennard_jones, alike=True),
    CatalogueItem("MACE", "Neural network from a file of weights.", mace, (("mace", "pip install mace-torch"),)),
    CatalogueItem(
        "CHGNet", "Universal potential with its weights.", chgnet, (("chgnet", "pip install chgnet"),), cell=True
    ),
    CatalogueItem("SevenNet", "Universal potential with its weights.", sevennet, (("sevenn", "pip install sevenn"),)),
    CatalogueItem(
        "xTB",
        "Extended tight binding, elements up to radon.",
        xtb,
        (("tblite", "pip install tblite"),),
        elements=tuple(chemical_symbols[1:87]),
    ),
    CatalogueItem("GPAW", "DFT with plane waves.", gpaw, (("gpaw", "pip install 'mlip_lab[dft]'"),), cell=True),
    CatalogueItem(
        "Quantum ESPRESSO",
        "DFT with pw.x.",
        espresso,
        programs=(("pw.x", "apt install quantum-espresso, or conda"),),
        elements_of=_pseudo_elements,
        cell=True,
    ),
    CatalogueItem("PySCF", "DFT for molecules.", pyscf, (("pyscf", "pip install pyscf"),), cell=False),
)


def catalogue() -> tuple[CatalogueItem, ...]:
    """Every calculator that is known by name, whether it is installed or not."""
    return CATALOGUE


def by_name(name: str) -> CatalogueItem:
    """The item of a name.

    Raises:
        InputError: If there is none.
    """
    for item in CATALOGUE:
        if item.name == name:
            return item
    raise InputError(f"name: expected one of {', '.join(item.name for item in CATALOGUE)}; got {name!r}.")
