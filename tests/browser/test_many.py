"""Panels of many calculations in a real browser: Stop in the middle, Continue, and nothing is done twice."""

from __future__ import annotations

from typing import Any

HULL = """
from ase.calculators.emt import EMT
from mlip_lab import panels
calculator = EMT()
panel = panels.convex_hull(calculator=calculator, symbols="Cu Pt", largest=1)
panel
"""
WRITTEN = """
from pathlib import Path
print({path.name: path.stat().st_mtime_ns for path in Path(panel.model._extra["folder"]).glob("*.json")})
"""
SPOT = """
hull, figure = panel.result.hull, panel.model._figure
index = hull.index({name!r})
formation = 1000 * hull.formation[index]
spot = figure.axes[0].transData.transform((hull.fractions[index, 1], formation))
print(*figure.transFigure.inverted().transform(spot), formation, 1000 * hull.above[index])
"""
SAME = "\nprint('same', panel.model.capability.numbers(result) == list(panel.model.numbers))"


def kept(nb: Any) -> dict[str, int]:
    """When each finished piece of work was written."""
    return dict(eval(nb.run(WRITTEN)))


def stopped_and_continued(nb: Any) -> None:
    """Run, Stop as soon as something is finished, Continue; what was finished is not done again."""
    nb.click("Run")
    nb.see(" left", timeout=60)
    nb.screenshot("many_running")
    nb.click("Stop")
    nb.see("Continue picks up there")
    before = kept(nb)
    assert before, "nothing was finished"
    nb.click("Continue")
    nb.see("Done.", timeout=120)
    after = kept(nb)
    assert len(after) > len(before) and {name: after[name] for name in before} == before


def test_a_hull_by_clicks_and_its_phases_by_the_mouse(notebook: Any) -> None:
    nb = notebook(HULL, height=1500)
    nb.run_all(timeout=150)
    card = nb.widget("mlip-panel")
    nb.set("Elements", "Cu Cu")
    nb.see("different chemical elements")
    nb.set("Elements", "Cu Pt")
    stopped_and_continued(nb)
    nb.see("Rest on a phase to read what it is")
    picture = card.locator("img.mlip-picture")
    box = picture.bounding_box()
    for name, words in (("L1_0 CuPt", "stable"), ("B2 CuPt", "falls apart into")):
        x, y, formation, above = map(float, nb.run(SPOT.format(name=name)).split())
        place = {"x": x * box["width"], "y": (1 - y) * box["height"]}
        picture.hover(position=place)
        seen = nb.see(f"{name}: {formation:.1f} meV/atom", within=card)
        assert words in seen and (above == 0 or f"{above:.1f} above the hull" in seen)
    nb.screenshot("hull_pointed")
    picture.click(position=place)
    nb.page.mouse.move(5, 5)
    nb.see("It is in the Lab's viewer.", within=card)
    assert "{'Cu': 8, 'Pt': 8}" in nb.run("print(panel.model.frames[0].symbols.formula.count())")
    code = nb.run("print(panel.model.code)")
    assert nb.run(code + SAME, timeout=120).split()[-1] == "True"
    assert not nb.errors


SCREENING = """
from ase.build import fcc100
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms
from mlip_lab import panels
atoms, calculator = fcc100("Cu", (2, 2, 2), a=3.75, vacuum=5.0), EMT()
atoms.symbols[:] = ["Cu", "Au", "Pd", "Cu", "Au", "Cu", "Pd", "Ni"]
atoms.set_constraint(FixAtoms([atom.index for atom in atoms if atom.tag == 2]))
panel = panels.screening(atoms, calculator, kind="adsorbate", adsorbate="Cu", count=3)
panel
"""


def test_a_screening_by_clicks(notebook: Any) -> None:
    nb = notebook(SCREENING, height=1500)
    nb.run_all(timeout=150)
    nb.choose("What hops", "vacancy")
    nb.see("Expected a crystal of many atoms")
    nb.choose("What hops", "adsorbate")
    stopped_and_continued(nb)
    nb.see("Each barrier is that of a saddle point with one imaginary mode.")
    nb.screenshot("screening_done")
    code = nb.run("print(panel.model.code)")
    assert nb.run(code + SAME, timeout=120).split()[-1] == "True"
    assert not nb.errors
