"""Pseudopotentials of Goedecker, Teter and Hutter written as UPF files, from their published parameters.

V_loc(r) = −(Z/r) erf(r / √2 r_loc) + exp(−½ (r/r_loc)²) Σ_k C_k (r/r_loc)^(2k−2) and
V_nl = Σ_lm Σ_ij |p_i^l Y_lm⟩ h_ij^l ⟨p_j^l Y_lm|, p_i^l(r) ∝ r^(l+2i−2) exp(−½ (r/r_l)²), normalised, in atomic
units (DOI 10.1103/PhysRevB.54.1703). pw.x 6.7 reads such parameters itself, but the shear stress that it then prints is
not the slope of its energy; with the same potential tabulated in UPF it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag
from scipy.special import erf, gamma

from mlip_lab.core.files import write_bytes

Floats = NDArray[np.float64]
RYDBERG_PER_HARTREE = 2.0
BETA_END = 9.0  # bohr, where projectors are nothing


@dataclass(frozen=True)
class Gth:
    """Parameters in atomic units.

    Attributes:
        symbol: Chemical symbol.
        charge: Valence electrons.
        r_loc: Radius of the local part in bohr.
        local: Its coefficients C_k in hartree.
        channels: For l = 0, 1, …: radius in bohr and the matrix h_ij in hartree.
        spread: Width in bohr of the charge that calculations begin with.
        number: Atomic number.
    """

    symbol: str
    charge: int
    r_loc: float
    local: tuple[float, ...]
    channels: tuple[tuple[float, tuple[tuple[float, ...], ...]], ...]
    spread: float
    number: int


# Local-density approximation; Al with 3, Li with 1 valence electron.
ALUMINIUM = Gth(
    "Al",
    3,
    0.45,
    (-8.49135116,),
    ((0.46010427, ((5.08833953, -1.03784325), (-1.03784325, 2.67969975))), (0.53674439, ((2.19343827,),))),
    1.4,
    13,
)
LITHIUM = Gth(
    "Li",
    1,
    0.78755305,
    (-1.89261247, 0.28605968),
    ((0.66637518, ((1.85881111,),)), (1.07930561, ((-0.00589504,),))),
    2.2,
    3,
)


def projector(r: Floats, radius: float, angular: int, index: int) -> Floats:
    """Return p_i^l(r) for i = index = 1, 2, …, with ∫ p² r² dr = 1, in bohr^(−3/2)."""
    power = angular + (4 * index - 1) / 2
    norm = np.sqrt(2.0) / (radius**power * np.sqrt(gamma(power)))
    return np.asarray(norm * r ** (angular + 2 * (index - 1)) * np.exp(-0.5 * (r / radius) ** 2))


def local(parameters: Gth, r: Floats) -> Floats:
    """Return V_loc(r) in hartree."""
    x = r / parameters.r_loc
    series = sum(c * x ** (2 * k) for k, c in enumerate(parameters.local))
    return np.asarray(-parameters.charge / r * erf(x / np.sqrt(2.0)) + np.exp(-0.5 * x**2) * series)


def upf(parameters: Gth) -> str:
    """Return the text of a UPF file (version 2.0.1) on a logarithmic mesh, in Ry and bohr."""
    step, start = 0.01, -7.0
    count = 2 * int((np.log(60.0 * parameters.number) - start) / step / 2) + 1
    r = np.exp(start + step * np.arange(count)) / parameters.number
    cut = int(np.searchsorted(r, BETA_END)) | 1
    betas: list[tuple[int, Floats]] = []
    for angular, (radius, matrix) in enumerate(parameters.channels):
        betas += [(angular, r * projector(r, radius, angular, i + 1)) for i in range(len(matrix))]
    coupling = RYDBERG_PER_HARTREE * block_diag(*[matrix for _, matrix in parameters.channels])
    charge = r**2 * np.exp(-0.5 * (r / parameters.spread) ** 2)
    charge *= parameters.charge / np.trapezoid(charge, r)
    projectors = "\n".join(_beta(number, angular, beta, cut) for number, (angular, beta) in enumerate(betas, 1))
    return f"""<UPF version="2.0.1">
<PP_INFO>
Goedecker, Teter and Hutter, DOI 10.1103/PhysRevB.54.1703, tabulated by mlip_lab
</PP_INFO>
<PP_HEADER generated="Goedecker, Teter, Hutter" author="" date="" comment="" element="{parameters.symbol}"
 pseudo_type="NC" relativistic="scalar" is_ultrasoft="F" is_paw="F" is_coulomb="F" has_so="F" has_wfc="F" has_gipaw="F"
 paw_as_gipaw="F" core_correction="F" functional="SLA PZ NOGX NOGC" z_valence="{parameters.charge:.1f}"
 total_psenergy="0.0" wfc_cutoff="0.0" rho_cutoff="0.0" l_max="{len(parameters.channels) - 1}" l_max_rho="0"
 l_local="-3" mesh_size="{count}" number_of_wfc="0" number_of_proj="{len(betas)}"/>
<PP_MESH dx="{step}" mesh="{count}" xmin="{start}" rmax="{r[-1]!r}" zmesh="{parameters.number:.1f}">
{_table("PP_R", r)}
{_table("PP_RAB", step * r)}
</PP_MESH>
{_table("PP_LOCAL", RYDBERG_PER_HARTREE * local(parameters, r))}
<PP_NONLOCAL>
{projectors}
{_table("PP_DIJ", coupling.ravel())}
</PP_NONLOCAL>
<PP_PSWFC>
</PP_PSWFC>
{_table("PP_RHOATOM", charge)}
</UPF>
"""


def write_upf(parameters: Gth, folder: str | Path) -> Path:
    """Write the UPF file into a folder and return its path."""
    path = Path(folder) / f"{parameters.symbol}.gth-lda-q{parameters.charge}.upf"
    write_bytes(path, upf(parameters).encode())
    return path


def _beta(number: int, angular: int, beta: Floats, cut: int) -> str:
    names = f'index="{number}" angular_momentum="{angular}" cutoff_radius_index="{cut}" cutoff_radius="{BETA_END}"'
    return _table(f"PP_BETA.{number}", beta, names)


def _table(name: str, values: Sequence[float] | Floats, more: str = "") -> str:
    rows = [" ".join(f"{float(v):.15E}" for v in values[k : k + 4]) for k in range(0, len(values), 4)]
    text = "\n".join(rows)
    return f'<{name} type="real" size="{len(values)}" columns="4" {more}>\n{text}\n</{name}>'
