"""The demo's report: one HTML file with its pictures inside, readable without a network."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from matplotlib.figure import Figure

from mlip_lab import __version__
from mlip_lab.plots import elastic as elastic_plot
from mlip_lab.plots import equation_of_state as curve_plot
from mlip_lab.plots import md as md_plot
from mlip_lab.plots import training as training_plot
from mlip_lab.plots.style import description, mosaic, png, rounded
from mlip_lab.workflows.demo import DemoResult, reference_value
from mlip_lab.workflows.errors import errors_by_kind

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 62rem;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; margin-bottom: 0; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
p.lead { color: #444; margin-top: .3rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .3rem .9rem; text-align: right; border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
thead th { border-bottom: 2px solid #444; } tr.sum td { font-weight: 600; border-top: 1px solid #444; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; } figcaption { color: #444; font-size: .9rem; }
.pair { display: flex; flex-wrap: wrap; gap: 1rem; } .pair figure { flex: 1 1 22rem; }
footer { color: #555; font-size: .85rem; margin: 3rem 0 1rem; }
"""
NAMES = {
    "lattice_constant": "lattice constant",
    "bulk_modulus": "bulk modulus",
    "C44_clamped": "C44, ions clamped",
}


def html_report(result: DemoResult) -> str:
    """The whole report as HTML."""
    report = result.training.report
    motion = result.motion
    parts = [
        "<h1>A silicon potential, trained on this machine</h1>",
        f"<p class='lead'>mlip_lab {__version__}. {_summary(result)}</p>",
        "<h2>Against DFT</h2>",
        _comparison_table(result),
        _pair(_elastic(result), _curve(result)),
        "<h2>Errors on frames it has not seen</h2>",
        _error_table(result),
        _picture(training_plot.parity(result.training.predictions), "Predictions against DFT, frame by frame."),
        "<h2>Training</h2>",
        f"<p>{report['n_parameters']} parameters, {report['train_seconds']:.0f} s.</p>",
        _picture(training_plot.learning_curve(result.training.history), "Errors while it learned."),
        f"<h2>{len(motion.run.atoms)} atoms in motion</h2>",
        f"<p>{_motion_words(result)}</p>",
        _pair(
            _picture(md_plot.energies(motion.run), "Energies: what is conserved should not drift."),
            _picture(md_plot.temperature(motion.run), "Temperature, read from the momenta."),
        ),
        _pair(
            _picture(md_plot.radial_distribution(motion.structure), "How often atoms are found at a distance."),
            _picture(md_plot.snapshot(motion.run.atoms), "The last frame."),
        ),
        _footer(result),
    ]
    return _page("mlip_lab: silicon", parts)


def overview(result: DemoResult) -> bytes:
    """The demo in one picture, PNG: errors, elastic constants and the conserved energy."""
    known = {c.name: c.reference for c in result.comparisons if c.reference is not None}
    bars = elastic_plot.elastic(result.elastic, reference=known)
    below = [bars, md_plot.energies(result.motion.run)]
    return mosaic([[training_plot.parity(result.training.predictions)], below])


def _page(title: str, parts: Iterable[str]) -> str:
    return (
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>"
        f"<meta name='viewport' content='width=device-width, initial-scale=1'><style>{STYLE}</style></head>\n"
        "<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _summary(result: DemoResult) -> str:
    test = result.training.report["test"]
    return (
        f"On {len(result.training.predictions)} test frames its errors are {test['energy_rmse_mev_per_atom']:.2g} "
        f"meV/atom and {test['forces_rmse_ev_per_ang']:.2g} eV/Å. The whole demo took {result.seconds / 60:.1f} min."
    )


def _comparison_table(result: DemoResult) -> str:
    rows = [
        (
            f"{NAMES.get(c.name, c.name)} ({c.unit})",
            _digits(c.value, c.unit),
            _digits(c.reference, c.unit),
            "" if c.deviation_percent is None else f"{c.deviation_percent:+.2f} %",
        )
        for c in result.comparisons
    ]
    return _table(("", "this potential", "DFT", "deviation"), rows)


def _digits(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if unit == "Å" else f"{value:.1f}"


def _error_table(result: DemoResult) -> str:
    rows = [
        (e.kind, str(e.frames), _number(e.energy, 2), _number(e.forces, 4), _number(e.stress, 3))
        for e in errors_by_kind(result.training.predictions)
    ]
    head = ("kind of structure", "frames", "energy (meV/atom)", "force (eV/Å)", "stress (GPa)")
    return _table(head, rows, last_is_sum=True)


def _number(value: float | None, places: int) -> str:
    return "–" if value is None else f"{value:.{places}f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, last_is_sum: bool = False) -> str:
    header = "".join(f"<th scope='col'>{escape(cell)}</th>" for cell in head)
    lines = []
    for index, row in enumerate(rows):
        mark = " class='sum'" if last_is_sum and index == len(rows) - 1 else ""
        lines.append(f"<tr{mark}>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>")
    return f"<table><thead><tr>{header}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _elastic(result: DemoResult) -> str:
    known = {c.name: c.reference for c in result.comparisons if c.reference is not None}
    figure = elastic_plot.elastic(result.elastic, reference=known)
    stable = "stable" if result.elastic.stable else "not stable"
    return _picture(figure, f"Elastic constants; circles are DFT. The crystal is {stable} by Born's criterion.")


def _curve(result: DemoResult) -> str:
    edge = reference_value(result.reference["values"], "lattice_constant")
    volume = None if edge is None else edge**3 / 8  # the cube of diamond holds eight atoms
    figure = curve_plot.equation_of_state(result.equation_of_state, reference_volume=volume)
    return _picture(figure, "Energy over volume.")


def _motion_words(result: DemoResult) -> str:
    motion, times = result.motion, result.motion.run.times
    return escape(
        f"{len(times) - 1} steps of {times[1] - times[0]:g} fs at constant energy: "
        f"mean temperature {rounded(motion.temperature, motion.temperature_error)} K, drift of the total energy "
        f"{rounded(motion.drift, motion.drift_error)} eV/atom/ns, {motion.microseconds:.1f} µs per atom and step."
    )


def _picture(figure: Figure, caption: str) -> str:
    data = base64.b64encode(png(figure)).decode()
    return (
        f"<figure><img alt='{escape(description(figure), quote=True)}' src='data:image/png;base64,{data}'>"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _pair(left: str, right: str) -> str:
    return f"<div class='pair'>{left}{right}</div>"


def _footer(result: DemoResult) -> str:
    source = result.reference.get("settings", result.reference.get("source", {}))
    settings = ", ".join(f"{k}: {v}" for k, v in source.items()) if isinstance(source, Mapping) else str(source)
    known = f" Reference: {settings}." if settings else ""
    return f"<footer>Errors are root mean squares; stress is positive under tension.{escape(known)}</footer>"
