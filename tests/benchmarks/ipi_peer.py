"""Ring polymers by i-PI, to compare with: of silicon by our ASE calculator, or without forces.

    python tests/benchmarks/ipi_peer.py STRUCTURE.traj BEADS STEPS TEMPERATURE

Prints the estimators of every step as JSON: `potential`, `kinetic_cv`, `kinetic_td` (eV) and `r_gyration` (Å). i-PI
runs in the working folder and writes there; it loads this file as its driver, too.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ase import Atoms, units
from ase.io import read
from ipi.pes._ase import ASEDriver
from ipi.scripting import InteractiveSimulation, motion_nvt_xml, read_output, simulation_xml

import mlip_lab

__DRIVER_NAME__ = "mlip_lab"
__DRIVER_CLASS__ = "SiliconDriver"
ESTIMATORS = ("potential", "kinetic_cv", "kinetic_td", "r_gyration")


class SiliconDriver(ASEDriver):  # type: ignore[misc]
    """The packaged potential of silicon."""

    def check_parameters(self) -> None:
        """Load potential and structure."""
        super().check_parameters()
        self.ase_calculator = mlip_lab.load("si").calculator(threads=1)


def forcefield(structure: str | None) -> str:
    """Ours for the structure in a file, or none."""
    if structure is None:
        return "<ffdirect name='none'><pes>dummy</pes></ffdirect>"
    return (
        f"<ffdirect name='mlip_lab'><pes>custom</pes><pes_path>{Path(__file__).resolve()}</pes_path>"
        f"<parameters>{{template: {structure}}}</parameters></ffdirect>"
    )


def simulation(
    atoms: Atoms, forces: str, *, beads: int, temperature: float, time_step: float, written: bool
) -> InteractiveSimulation:
    """PILE-L with a bath of 100 fs; steps in fs.

    Args:
        atoms: Structure to start from.
        forces: What `forcefield` gives.
        beads: Their number.
        temperature: K.
        time_step: fs.
        written: Whether estimators of every step go to a file.
    """
    names = ", ".join(f"{name}{{{'angstrom' if name == 'r_gyration' else 'electronvolt'}}}" for name in ESTIMATORS)
    output = f"<properties stride='1' filename='out'> [{names}] </properties>" if written else ""
    how = motion_nvt_xml(time_step * units.fs, thermostat="pile_l", tau=100.0 * units.fs, fixcom=False)
    return InteractiveSimulation(
        simulation_xml(
            [atoms] * beads, forces, how, temperature, f"<output prefix='run'>{output}</output>", safe_stride=10**9
        )
    )


def main() -> None:
    """Run and print."""
    structure, beads, steps, temperature = sys.argv[1], *(int(word) for word in sys.argv[2:])
    run = simulation(
        read(structure), forcefield(structure), beads=beads, temperature=temperature, time_step=1.0, written=True
    )
    run.run(steps)
    found = read_output("run.out")[0]
    print(json.dumps({name: found[name].tolist() for name in ESTIMATORS}))


if __name__ == "__main__":
    main()
