"""What data near a saddle point are worth, by clicks."""

from __future__ import annotations

from typing import Any

from ase import Atoms
from numpy.typing import NDArray

from mlip_lab.core.errors import CalculationError
from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots import saddle_data as pictures
from mlip_lab.workflows.saddle_data import WITH, SaddleData, saddle_data

CLOSE = 10.0  # meV; chemists would like 40
DFT = "B3LYP/def2-SVP"


def _verdicts(result: SaddleData) -> list[Verdict]:
    found = []
    for name, student in result.students.items():
        off = student.barrier - result.barrier
        words = f"{off:+.1f} meV; forces near the saddle {student.near:.2g} eV/Å off, elsewhere {student.far:.2g}"
        if abs(off) < CLOSE:
            found.append(Verdict("good", f"Trained {name}, the barrier is within {CLOSE:.0f} meV of DFT.", words))
        else:
            found.append(Verdict("warning", f"Trained {name}, the barrier is off by {abs(off):.0f} meV.", words))
    return found


def _numbers(result: SaddleData) -> list[Number]:
    found = []
    for name, student in result.students.items():
        found.append(Number(f"barrier {name}", student.barrier, "meV", reference=result.barrier, source=DFT))
        try:
            imaginary = student.imaginary
        except CalculationError:
            continue
        label = f"imaginary wavenumber {name}"
        found.append(Number(label, imaginary, "1/cm", reference=result.imaginary, source=DFT))
    return found


def _data(result: SaddleData) -> dict[str, Any]:
    return {
        "dft_barrier_mev": result.barrier,
        "dft_imaginary_per_cm": result.imaginary,
        "students": {
            name: {
                "frames": student.frames,
                "barrier_mev": student.barrier,
                "energies_ev": (student.path.energies - student.path.energies[0]).tolist(),
                "distances_ang": student.path.distances.tolist(),
                "force_error_near_ev_per_ang": student.near,
                "force_error_far_ev_per_ang": student.far,
            }
            for name, student in result.students.items()
        },
    }


def _frames(result: SaddleData) -> tuple[Atoms, NDArray[Any]]:
    path = result.students[WITH].path
    return path.atoms, path.positions


SADDLE_DATA = Capability(
    function=saddle_data,
    title="Data near the saddle",
    meaning="What two potentials say of a barrier: one trained with frames near the saddle point, one without.",
    shows="energy along the proton's way by both",
    group="Reaction",
    formula=(
        "$$q=d(\\mathrm{O{-}H})-d(\\mathrm{O'{-}H})$$ A potential is good where it has learned. Molecules rarely visit "
        "a saddle point by themselves: at 300 K and a barrier of 0.4 eV, one moment in five million is spent there. So "
        "frames of it have to be put into the data on purpose."
    ),
    picture=pictures.saddle_data,
    verdicts=_verdicts,
    numbers=_numbers,
    data=_data,
    frames=_frames,
    unit="parts",
    starts_over=True,
    labels={"preset": "Size", "readout": "Kind of fit", "frames": "Frames at most"},
    advanced=("readout", "frames", "seed"),
)
