"""How panels look: one style sheet made of JupyterLab's own colours, so that light and dark theme are both legible."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from mlip_lab.panels.base.record import Number, Verdict
from mlip_lab.plots.style import rounded

MARKS = {"good": "✓", "warning": "⚠", "bad": "✗"}
# A picture is drawn on white in both themes: its colours are chosen for that. `.mlip-saved` holds what a notebook
# keeps when there is no kernel; while the panel itself is there it would show everything twice.
CSS = """
.mlip-panel, .mlip-lab { color: var(--jp-content-font-color1, #111); font-size: 14px; line-height: 1.4; }
body[data-jp-theme-light="false"] :is(.mlip-panel, .mlip-lab) {
  --jp-widgets-dropdown-arrow: url("data:image/svg+xml,%3Csvg \
xmlns='http://www.w3.org/2000/svg' viewBox='0 0 18 18'%3E%3Cpath d='M5 7l4 4 4-4' fill='none' stroke='%23ddd' \
stroke-width='1.6'/%3E%3C/svg%3E"); }
.mlip-panel { max-width: 100%; overflow: hidden; gap: 8px; }
.mlip-panel h2, .mlip-lab h2 { margin: 0; font-size: 18px; font-weight: 600; }
.mlip-meaning { color: var(--jp-content-font-color1, #333); margin: 0; }
.mlip-quiet { color: var(--jp-content-font-color2, #555); }
.mlip-help { border-left: 3px solid #0072B2; padding: 2px 12px; margin: 2px 0; }
.mlip-form { gap: 2px; }
.mlip-form .widget-label, .mlip-panel .widget-label { color: var(--jp-content-font-color1, #111); }
.mlip-unit { min-width: 52px; color: var(--jp-content-font-color1, #333); }
.mlip-line { flex-flow: row wrap; }
.mlip-problem { color: #b3400b; }
.mlip-problem, .mlip-said { margin-left: 158px; }
body[data-jp-theme-light="false"] .mlip-problem, body[data-jp-theme-light="false"] .mlip-bad-text { color: #ff9d66; }
.mlip-bad input { border: 2px solid #D55E00 !important; background: rgba(213, 94, 0, 0.14) !important; }
.mlip-bad-text { color: #b3400b; }
.mlip-controls { align-items: center; flex-flow: row wrap; gap: 6px; }
.mlip-controls button, .mlip-tools button { min-width: 76px; }
.mlip-controls .jupyter-button.mlip-run { background: #005f94; color: white; }
.mlip-controls .jupyter-button:disabled { opacity: 0.5; }
.mlip-picture { background: white; border-radius: 6px; padding: 6px; max-width: min(100%, 800px); }
.mlip-picture img { max-width: 100%; height: auto; }
.mlip-sketch { border: 1px dashed var(--jp-border-color1, #bbb); border-radius: 6px; padding: 36px 16px;
  text-align: center; color: var(--jp-content-font-color2, #555); }
.mlip-stale { opacity: 0.45; }
.mlip-verdicts details { margin: 2px 0; }
.mlip-verdicts summary { cursor: pointer; }
.mlip-verdicts .good { color: #00785a; font-weight: 700; }
.mlip-verdicts .warning { color: #a86500; font-weight: 700; }
.mlip-verdicts .bad { color: #b3400b; font-weight: 700; }
body[data-jp-theme-light="false"] .mlip-verdicts .good { color: #5fe0bb; }
body[data-jp-theme-light="false"] .mlip-verdicts .warning { color: #f0b34a; }
body[data-jp-theme-light="false"] .mlip-verdicts .bad { color: #ff9d66; }
.mlip-numbers table { border-collapse: collapse; }
.mlip-numbers th, .mlip-numbers td { padding: 2px 10px 2px 0; text-align: left; white-space: nowrap; }
.mlip-numbers th { font-weight: 600; border-bottom: 1px solid var(--jp-border-color1, #bbb); }
.mlip-numbers td:first-child { white-space: normal; }
.mlip-numbers td { font-variant-numeric: tabular-nums; }
.mlip-report { white-space: pre-wrap; font-family: var(--jp-code-font-family, monospace); font-size: 12px;
  line-height: 1.35; max-height: 260px; overflow: auto; border: 1px solid var(--jp-border-color1, #bbb);
  border-radius: 4px; padding: 8px; }
.mlip-code textarea { font-family: var(--jp-code-font-family, monospace); font-size: 12px; }
.mlip-tools { flex-flow: row wrap; gap: 6px; }
.jp-OutputArea:has(.mlip-panel) .mlip-saved, .jp-OutputArea:has(.mlip-lab) .mlip-saved,
.jp-Cell:has(.mlip-panel) .mlip-saved, .jp-Cell:has(.mlip-lab) .mlip-saved { display: none; }
"""


def verdicts_html(verdicts: Sequence[Verdict]) -> str:
    """Judgements, each with its mark, and the numbers behind it where there are some."""
    lines = []
    for verdict in verdicts:
        words = f"<span class='{verdict.level}'>{MARKS[verdict.level]}</span> {escape(verdict.text)}"
        details = (
            f"<details><summary>{words}</summary><div class='mlip-quiet'>{escape(verdict.details)}</div></details>"
        )
        lines.append(details if verdict.details else f"<div>{words}</div>")
    return f"<div class='mlip-verdicts'>{''.join(lines)}</div>" if lines else ""


def numbers_html(numbers: Sequence[Number]) -> str:
    """Values with errors, units, references and differences as a table."""
    if not numbers:
        return ""
    compared = any(number.reference is not None for number in numbers)
    head = ["", "value", "unit"] + (["reference", "difference"] if compared else [])
    rows = ["<tr>" + "".join(f"<th scope='col'>{name}</th>" for name in head) + "</tr>"]
    for number in numbers:
        value = rounded(number.value, number.error if number.error is not None else 0.0)
        value = re.sub(r"10\^(-?\d+)", r"10<sup>\1</sup>", value)
        cells = [escape(number.name), value, escape(number.unit)]
        if compared:
            cells += ["", ""] if number.reference is None else _against(number)
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return f"<div class='mlip-numbers'><table>{''.join(rows)}</table></div>"


def _against(number: Number) -> list[str]:
    assert number.reference is not None
    source = f" <span class='mlip-quiet'>({escape(number.source)})</span>" if number.source else ""
    percent = f"{100 * (number.value / number.reference - 1):+.1f} %" if number.reference else ""
    return [f"{number.reference:.4g}{source}", percent]


def clock(seconds: float) -> str:
    """Time left as people say it."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
