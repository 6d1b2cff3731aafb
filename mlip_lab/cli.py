"""The command `mlip-lab`: demo, train, inspect, label, lab, warm.

Answers go to standard output, progress and errors to standard error. With `--json` the last line of standard output
is one JSON object. Exit code 2 says that the input or the calculation was no good, 130 that it was stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from mlip_lab import __version__
from mlip_lab.core.errors import Cancelled, DataError, InputError, MlipError
from mlip_lab.core.files import write_bytes

Answer = tuple[str, dict[str, Any]]  # for a person, for a program


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    chosen = _parser().parse_args(arguments)
    line = ProgressLine(sys.stderr)
    try:
        words, record = chosen.run(chosen, line)
    except (KeyboardInterrupt, Cancelled):
        line.clear()
        print(f"Stopped. {chosen.kept(chosen)}", file=sys.stderr)
        return 130
    except MlipError as error:
        line.clear()
        print("mlip-lab: " + " ".join(str(error).split()), file=sys.stderr)
        return 2
    line.clear()
    print(words)
    if chosen.json:
        print(json.dumps(record, allow_nan=False))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mlip-lab", description="Machine-learned interatomic potentials, at home.")
    parser.add_argument("--version", action="version", version=f"mlip_lab {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    demo = _command(commands, "demo", _demo, "Train a silicon potential, compare it with DFT, run it, write a report.")
    demo.add_argument("--out", type=Path, default=Path("mlip_lab_demo"), help="folder (default: %(default)s)")
    demo.add_argument("--seed", type=int, default=0, help="seed of weights and velocities (default: %(default)s)")
    demo.set_defaults(kept=lambda chosen: f"What was learned is in {chosen.out}; the same command goes on from there.")

    train = _command(commands, "train", _train, "Train a potential on labelled structures.")
    train.add_argument("data", help="file or folder of labelled structures, or the name of a packaged set")
    train.add_argument("--test", type=Path, help="labelled structures to measure the errors on")
    train.add_argument("--preset", choices=("small", "default", "large"), default="default", help="size of the model")
    train.add_argument("--readout", choices=("linear", "kernel", "neural"), help="kind of fit (default: the preset's)")
    train.add_argument("--body-order", type=int, help="2 to 5, most atoms in one invariant (default: the preset's)")
    train.add_argument("--seed", type=int, default=0, help="seed of weights and split (default: %(default)s)")
    train.add_argument("--streamed", action="store_true", help="keep no densities: for sets that do not fit in memory")
    train.add_argument("--device", default="cpu", help="of torch, as cpu or cuda (default: %(default)s)")
    train.add_argument("--out", type=Path, default=Path("potential"), help="folder (default: %(default)s)")
    train.set_defaults(kept=lambda chosen: f"A checkpoint is in {chosen.out}; the same command goes on from there.")

    inspect = _command(commands, "inspect", _inspect, "Say what is in a file or folder of labelled structures.")
    inspect.add_argument("data", type=Path, help="file or folder")

    label = _command(commands, "label", _label, "Compute energy, forces and stress of structures by DFT.")
    label.add_argument("frames", type=Path, help="file of structures")
    label.add_argument("--with", dest="settings", type=Path, required=True, help="settings, a TOML file")
    label.add_argument("--out", type=Path, required=True, help="labelled file to write (.xyz)")
    label.set_defaults(kept=lambda chosen: "Finished labels are kept; the same command computes the missing ones.")

    lab = _command(commands, "lab", _lab, "Open the notebooks in JupyterLab, or the first as a page without code.")
    lab.add_argument("--folder", type=Path, default=Path("mlip_lab_notebooks"), help="folder (default: %(default)s)")
    lab.add_argument("--page", action="store_true", help="the welcome as a page without code, by Voila")
    lab.add_argument("--no-browser", action="store_true", help="start no browser; the address is printed")
    lab.add_argument("--port", type=int, help="port to listen on (default: the server's)")
    lab.add_argument("more", nargs="*", metavar="-- option", help="further options of JupyterLab or Voila")
    lab.set_defaults(kept=lambda chosen: f"The notebooks are in {chosen.folder}.")

    _command(commands, "warm", _warm, "Compile the kernels of the packaged potentials, so that first use is quick.")
    return parser


def _command(commands: Any, name: str, run: Callable[..., Answer], words: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=words, description=words)
    command.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    command.set_defaults(run=run, kept=lambda chosen: "Nothing was written.")
    return command


def _demo(chosen: argparse.Namespace, progress: ProgressLine) -> Answer:
    from mlip_lab.plots.report import html_report, overview
    from mlip_lab.workflows.demo import demo

    result = demo(chosen.out, seed=chosen.seed, progress=progress)
    page = chosen.out / "report.html"
    write_bytes(page, html_report(result).encode())
    write_bytes(chosen.out / "overview.png", overview(result))
    report = result.training.report
    lines = [f"{'property':<36}{'unit':>10}{'value':>12}{'DFT':>12}{'deviation':>12}"]
    for item in result.comparisons:
        known = "–" if item.reference is None else f"{item.reference:.4g}"
        deviation = "" if item.deviation_percent is None else f"{item.deviation_percent:+.2f} %"
        lines.append(f"{item.name:<36}{item.unit:>10}{item.value:>12.4g}{known:>12}{deviation:>12}")
    motion = result.motion
    lines += [
        "",
        _errors_in_words(report),
        f"MD of {len(motion.run.atoms)} atoms: {motion.temperature:.0f} ± {motion.temperature_error:.0f} K, drift "
        f"{motion.drift:.1e} ± {motion.drift_error:.1e} eV/atom/ns, {motion.microseconds:.1f} µs/atom/step",
        f"{result.seconds:.0f} s in all. Open {page}",
    ]
    record = {
        "properties": [item.to_dict() for item in result.comparisons],
        **_training_record(report),
        "md": {
            "atoms": len(motion.run.atoms),
            "steps": len(motion.run.times) - 1,
            "temperature_k": motion.temperature,
            "temperature_error_k": motion.temperature_error,
            "drift_ev_per_atom_per_ns": motion.drift,
            "drift_error_ev_per_atom_per_ns": motion.drift_error,
            "microseconds_per_atom_step": motion.microseconds,
        },
        "seconds": result.seconds,
        "report": str(page),
        "potential": str(chosen.out / "potential"),
    }
    return "\n".join(lines), record


def _train(chosen: argparse.Namespace, progress: ProgressLine) -> Answer:
    from mlip_lab.workflows.train import train

    result = train(
        chosen.data,
        test=chosen.test,
        preset=chosen.preset,
        readout=chosen.readout,
        body_order=chosen.body_order,
        seed=chosen.seed,
        streamed=chosen.streamed,
        device=chosen.device,
        out=chosen.out,
        progress=progress,
    )
    words = f"{_errors_in_words(result.report)}\nThe potential is in {chosen.out}."
    return words, {**_training_record(result.report), "potential": str(chosen.out)}


def _training_record(report: dict[str, Any]) -> dict[str, Any]:
    return {name: report.get(name) for name in ("test", "train", "train_seconds", "n_parameters")}


def _errors_in_words(report: dict[str, Any]) -> str:
    lines = []
    for part, name in (("train", "frames learned from"), ("test", "test frames")):
        errors = report.get(part)
        if errors:
            found = [
                f"{errors[key]:.3g} {unit}"
                for key, unit in (
                    ("energy_rmse_mev_per_atom", "meV/atom"),
                    ("forces_rmse_ev_per_ang", "eV/Å"),
                    ("stress_rmse_gpa", "GPa"),
                )
                if errors.get(key) is not None
            ]
            lines.append(f"RMSE on {name}: {', '.join(found)}")
    lines.append(f"{report['n_parameters']} parameters, trained in {report['train_seconds']:.0f} s")
    return "\n".join(lines)


def _inspect(chosen: argparse.Namespace, progress: ProgressLine) -> Answer:
    from mlip_lab.data.reader import inspect

    report = inspect(chosen.data)
    if not report.usable:
        raise DataError(f"{report}\nThese data cannot be trained on: {' '.join(report.problems)}")
    return str(report), report.to_dict()


def _label(chosen: argparse.Namespace, progress: ProgressLine) -> Answer:
    from mlip_lab.data.label import label_frames

    report = label_frames(chosen.frames, chosen.settings, chosen.out, progress=progress)
    record = {
        "out": str(report.out),
        "frames": report.frames,
        "computed": report.computed,
        "reused": report.reused,
        "failed": [{"frame": index, "reason": reason} for index, reason in report.failed],
    }
    return str(report), record


def _lab(chosen: argparse.Namespace, progress: ProgressLine) -> Answer:
    from mlip_lab.workflows.notebooks import copy_notebooks, open_lab, open_page

    if chosen.port is not None and not 0 < chosen.port < 65536:
        raise InputError(f"--port: expected 1 to 65535, got {chosen.port}.")
    copies = copy_notebooks(chosen.folder)
    print(copies, file=sys.stderr)
    show = open_page if chosen.page else open_lab
    show(copies.folder, port=chosen.port, browser=not chosen.no_browser, more=chosen.more)
    record = {"folder": str(copies.folder), "copied": copies.copied, "kept": copies.kept, "changed": copies.changed}
    return f"Ended. The notebooks are in {copies.folder}.", record


def _warm(chosen: argparse.Namespace, progress: ProgressLine) -> Answer:
    from mlip_lab.model.files import load, packaged_potentials
    from mlip_lab.workflows.warm import warm

    started = time.perf_counter()
    names = packaged_potentials()
    for done, name in enumerate(names):
        progress(done, len(names), stage=f"Compiling {name}")
        warm(load(name).calculator())
    seconds = time.perf_counter() - started
    return f"Compiled: {', '.join(names)} ({seconds:.1f} s).", {"potentials": list(names), "seconds": seconds}


class ProgressLine:
    """Progress as one line that is rewritten on a terminal, or as a line now and then in a file."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self.stream, self.terminal = stream, stream.isatty()
        self.every = 0.2 if self.terminal else 15.0  # s
        self.stage, self.stage_started, self.written = "", time.monotonic(), 0.0

    def __call__(self, done: int, total: int, /, *, stage: str = "Working", **live: Any) -> None:
        """Note progress; see `core.progress`."""
        now = time.monotonic()
        if stage != self.stage:
            self.stage, self.stage_started, self.written = stage, now, 0.0
        if now - self.written < self.every:
            return
        self.written = now
        text = f"{stage}: {done} of {total}"
        if done:
            text += f", {_clock((now - self.stage_started) * (total - done) / done)} left"
        shown = [f"{name.replace('_', ' ')} {value:.4g}" for name, value in live.items() if isinstance(value, float)]
        text = "  ".join([text, *shown[:3]])
        self.stream.write(f"\r\x1b[K{text[:110]}" if self.terminal else text + "\n")
        self.stream.flush()

    def clear(self) -> None:
        """Leave an empty line on a terminal."""
        if self.terminal:
            self.stream.write("\r\x1b[K")
            self.stream.flush()


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
