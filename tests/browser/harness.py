"""A real browser on a real JupyterLab or Voila: servers that end with the tests, and a page that is read and clicked.

Tests take the fixtures of conftest.py; `Notebook` and `Screen` are what they get. Everything waits for what it needs
and fails with words when it does not come.
"""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from PIL import Image

from tests.browser.servers import Server

ANSI = re.compile(r"\x1b\[[0-9;]*m")
# Said by the servers' own pages, whatever the notebook does.
NOISE = re.compile(r"favicon|preloaded using link preload|cdn\.jsdelivr\.net|@jupyter-notebook/lab-extension")
# Times by which waits for what is on the page are longer than on a quiet machine. It costs nothing where nothing fails;
# what has to be fast is asserted apart. Waits for a cell are long as they are: some end only so (see conftest.py).
PATIENCE = 3
PRESSED = "button, [role=tab], .jupyter-widget-Collapse-header, summary, a"
SIDEWAYS = """boxes => Math.max(0, ...boxes
    .flatMap(box => [box, ...box.querySelectorAll(':not(textarea, pre, select)')])
    .filter(part => ['auto', 'scroll'].includes(getComputedStyle(part).overflowX))
    .map(part => part.scrollWidth - part.clientWidth))"""


def write_notebook(path: Path, cells: Sequence[str]) -> Path:
    """Write code cells as a notebook for this environment's kernel."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source, id=f"cell-{index}") for index, source in enumerate(cells)],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, path)
    return path


class Screen:
    """What a person does and sees on a page with widgets.

    `within` is a Playwright Locator to look inside; without it the outputs of the page are meant.

    Attributes:
        page: The Playwright page.
        errors: Errors on the browser's console and exceptions that nothing caught, so far.
    """

    outputs = "body"

    def __init__(self, page: Any, url: str, artifacts: Path, label: str) -> None:
        self.page, self.url, self.artifacts, self.label = page, url, artifacts, label
        self.errors: list[str] = []
        page.on("console", lambda message: self._note(f"{message.text} ({message.location.get('url', '')})", message))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())

    def _note(self, words: str, message: Any) -> None:
        if message.type == "error" and not NOISE.search(words):
            self.errors.append(words)

    def open(self) -> None:
        """Load the page."""
        self.page.goto(self.url, timeout=PATIENCE * 90_000)  # Voila runs the notebook first
        self._ready()

    def reload(self) -> None:
        """Load the page again, as F5 does."""
        self.page.reload()
        self._ready()

    def _ready(self) -> None:
        raise NotImplementedError

    def _scope(self, within: Any) -> Any:
        return self.page.locator(self.outputs) if within is None else within

    def widget(self, css_class: str, timeout: float = 30) -> Any:
        """The first visible element of a CSS class, waited for."""
        found = self.page.locator(f".{css_class}").filter(visible=True).first
        found.wait_for(timeout=PATIENCE * 1000 * timeout)
        return found

    def button(self, label: str, within: Any = None) -> Any:
        """What is pressed to do `label`: a button, the header of an accordion or tab, a fold, a link."""
        exactly = re.compile(rf"^\s*{re.escape(label)}\s*$")
        return self._scope(within).locator(PRESSED).filter(has_text=exactly).filter(visible=True)

    def click(self, label: str, within: Any = None, timeout: float = 30) -> None:
        """Press a button by its label as soon as it is enabled."""
        self.button(label, within).click(timeout=PATIENCE * 1000 * timeout)

    def seconds_until(self, label: str, words: str) -> float:
        """Press a button, and time on the page's own clock how long until the panel's line of state says so."""
        return float(
            self.button(label).evaluate(
                """(button, words) => new Promise(done => {
                    const began = performance.now();
                    const look = () => {
                        const lines = [...document.querySelectorAll('.mlip-controls')].filter(line => line.offsetWidth);
                        const seen = lines.some(line => line.innerText.includes(words));
                        const seconds = (performance.now() - began) / 1000;
                        if (seen || seconds > 20) done(seconds); else setTimeout(look, 10);
                    };
                    button.click();
                    look();
                })""",
                words,
            )
        )

    def field(self, label: str, within: Any = None) -> Any:
        """The input with this label."""
        return self._scope(within).get_by_label(label, exact=True).filter(visible=True)

    def _labelled(self, label: str, within: Any, kinds: str) -> Any:
        exactly = re.compile(rf"^\s*{re.escape(label)}\s*$")
        named = self.page.locator(".widget-label").filter(has_text=exactly)
        return self._scope(within).locator(kinds).filter(has=named).filter(visible=True)

    def set(self, label: str, value: Any, within: Any = None) -> None:
        """Type into a text or number field, or into the number beside a slider, and leave it."""
        slider = self._labelled(label, within, ".widget-slider")
        field = self._labelled(label, within, ".widget-text, .widget-textarea, .widget-combobox, .widget-slider")
        field.wait_for()
        if slider.count():
            slider.locator(".widget-readout").fill(str(value))
            slider.locator(".widget-readout").press("Enter")
            return
        typed = field.locator("input, textarea")
        typed.fill(str(value))
        typed.press("Tab")

    def choose(self, label: str, option: str, within: Any = None) -> None:
        """Choose an option of a dropdown, of a row of buttons or of round buttons."""
        kinds = ".widget-dropdown, .widget-select, .widget-toggle-buttons, .widget-radio"
        field = self._labelled(label, within, kinds)
        field.wait_for()
        if field.locator("select").count():
            field.locator("select").select_option(label=option)
        elif field.locator("input[type=radio]").count():
            field.get_by_label(option, exact=True).check()
        else:
            self.click(option, field)

    def switch(self, label: str, on: bool, within: Any = None) -> None:
        """Set a checkbox."""
        self._scope(within).get_by_label(label, exact=True).filter(visible=True).set_checked(on)

    def upload(self, label: str, path: Path, within: Any = None) -> None:
        """Give a file to the upload button whose label starts so; its count of files is behind it."""
        button = self._scope(within).locator("button.widget-upload").filter(has_text=label).filter(visible=True)
        with self.page.expect_file_chooser() as chooser:
            button.click()
        chooser.value.set_files(path)

    def text(self, within: Any = None) -> str:
        """The visible text."""
        return "\n".join(self._scope(within).all_inner_texts())

    def see(self, words: str | re.Pattern[str], timeout: float = 30, within: Any = None) -> str:
        """Wait until these words are visible; gives all the text there."""
        pattern = re.compile(re.escape(words)) if isinstance(words, str) else words
        seen, patience = "", PATIENCE * timeout

        def found() -> bool:
            nonlocal seen
            seen = self.text(within)
            return pattern.search(seen) is not None

        self.poll(found, patience, lambda: f"Not seen in {patience} s: {pattern.pattern}. There is:\n{seen}")
        return seen

    def poll(self, condition: Callable[[], bool], timeout: float, otherwise: Callable[[], str]) -> None:
        """Wait for a condition of this process, the browser going on meanwhile."""
        last = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < last, otherwise()
            self.page.wait_for_timeout(50)

    def until(self, condition: str, timeout: float = 30) -> Any:
        """Wait until an expression in JavaScript holds; gives its value."""
        return self.page.wait_for_function(condition, timeout=PATIENCE * 1000 * timeout).json_value()

    def screenshot(self, name: str, within: Any = None) -> Path:
        """Save a picture of the page or of a part among the artefacts."""
        path = self.artifacts / f"{name}-{self.label}.png"
        (self.page if within is None else within).screenshot(path=path, animations="disabled")
        return path

    def pixels(self, within: Any = None) -> np.ndarray:
        """What is on the screen, (height, width, 3) as 0 … 255."""
        picture = (self.page if within is None else within).screenshot()
        return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))

    def overflow(self, within: Any = None) -> int:
        """By how many pixels something can be scrolled sideways; code may be. 0: nothing can."""
        return int(self._scope(within).evaluate_all(SIDEWAYS))


class Notebook(Screen):
    """A notebook in JupyterLab; commands go through JupyterLab itself, clicks through the page.

    Attributes:
        path: The file.
    """

    outputs = ".jp-NotebookPanel .jp-Notebook .jp-Cell-outputArea"
    _panel = "window.jupyterapp?.shell?.currentWidget"
    _running = f"{_panel}.content.widgets.some(cell => cell.model.executionState === 'running')"

    def __init__(self, page: Any, server: Server, path: Path, artifacts: Path, label: str, *, sidebar: bool) -> None:
        super().__init__(page, f"{server.url}/lab/workspaces/{path.stem}/tree/{path.name}", artifacts, label)
        self.server, self.path, self.sidebar = server, path, sidebar

    def _ready(self) -> None:
        kernel = f"{self._panel}?.sessionContext?.session?.kernel"
        self._answered(f"{self._panel}?.context?.isReady && {kernel}?.status === 'idle'", 90)
        if not self.sidebar:
            self.page.evaluate("jupyterapp.shell.collapseLeft()")

    def _command(self, name: str) -> None:
        self.page.evaluate("name => jupyterapp.commands.execute(name).then(() => null)", name)

    @property
    def busy(self) -> bool:
        """Whether a cell runs. Messages of widgets, on a thread of their own, make the kernel look idle meanwhile."""
        return bool(self.page.evaluate(self._running))

    def wait_idle(self, timeout: float = 60) -> None:
        """Wait until no cell runs."""
        self.until(f"!{self._running}", timeout)

    def run_all(self, timeout: float = 90) -> None:
        """Run every cell and wait; an error in one fails the test."""
        self.page.evaluate(
            "() => { window.ranAll = false;"
            " jupyterapp.commands.execute('notebook:run-all-cells').finally(() => { window.ranAll = true; }); }"
        )
        self._answered("window.ranAll", timeout)
        for index in range(self.page.evaluate(f"{self._panel}.content.widgets.length")):
            self._answer(index)

    def start(self, code: str) -> int:
        """Run code in a new cell at the end without waiting; gives the cell's index."""
        return int(
            self.page.evaluate(
                """source => {
                    const panel = jupyterapp.shell.currentWidget, index = panel.content.widgets.length;
                    panel.content.model.sharedModel.insertCell(index, {cell_type: 'code', source});
                    panel.content.activeCellIndex = index;
                    window.ran ??= {};
                    jupyterapp.commands.execute('notebook:run-cell').finally(() => { window.ran[index] = true; });
                    return index;
                }""",
                code,
            )
        )

    def run(self, code: str, timeout: float = 90) -> str:
        """Run code in a new cell at the end; gives its text once it has ended; an error fails the test."""
        index = self.start(code)
        self._answered(f"window.ran[{index}]", timeout)
        return self._answer(index)

    def _answered(self, condition: str, timeout: float) -> None:
        """Wait for what the kernel has to do with; otherwise say what the page and the kernel take it for."""
        page = (
            f"[{self._panel}?.content?.widgets?.map(cell => cell.model.executionState),"
            f" {self._panel}?.sessionContext?.session?.kernel?.status,"
            f" {self._panel}?.sessionContext?.session?.kernel?.connectionStatus]"
        )
        self.poll(
            lambda: bool(self.page.evaluate(condition)),
            timeout,
            lambda: (
                f"No answer in {timeout} s. "
                f"Cells, kernel and connection for the page: {self.page.evaluate(page)}. "
                f"Threads of the kernel:\n{self.server.stacks()}\n{self.server.said()}"
            ),
        )

    def _answer(self, index: int) -> str:
        outputs = self.page.evaluate(f"{self._panel}.content.widgets[{index}].model.outputs?.toJSON() ?? []")
        parts = []
        for output in outputs:
            if output["output_type"] == "error":
                raise AssertionError(f"Cell {index} failed:\n" + ANSI.sub("", "\n".join(output["traceback"])))
            text = output.get("text", output.get("data", {}).get("text/plain", ""))
            parts.append(text if isinstance(text, str) else "".join(text))
        return "".join(parts)

    def value(self, expression: str) -> str:
        """The repr of an expression in the kernel, without a cell; waits for the cell that runs."""
        answer = self.page.evaluate(
            """async expression => {
                const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
                const asked = {code: '', store_history: false, user_expressions: {value: expression}};
                return (await kernel.requestExecute(asked).done).content.user_expressions.value;
            }""",
            expression,
        )
        assert answer["status"] == "ok", f"{expression}: {answer.get('evalue')}"
        return str(answer["data"]["text/plain"])

    @property
    def kernel_pid(self) -> int:
        """The kernel's process."""
        return int(self.value("__import__('os').getpid()"))

    def looks(self, name: str, within: Any) -> None:
        """Keep pictures of a part in light and dark theme, at 1400 and 900 pixels; nothing may scroll sideways."""
        size = self.page.viewport_size
        for theme in ("JupyterLab Dark", "JupyterLab Light"):
            self.page.evaluate(
                "theme => jupyterapp.commands.execute('apputils:change-theme', {theme}).then(() => null)", theme
            )
            self.until(f"document.body.dataset.jpThemeName === '{theme}'")
            for width in (900, 1400):
                self.page.set_viewport_size({"width": width, "height": size["height"]})
                self.page.wait_for_timeout(150)
                self.label = f"{theme.split()[1].lower()}-{width}"
                self.screenshot(name, within)
                assert self.overflow(within) <= 4, f"{name}-{self.label} can be scrolled sideways"
        self.page.set_viewport_size(size)

    def save(self) -> None:
        """Save the notebook."""
        self._command("docmanager:save")
        self.until(f"!{self._panel}.context.model.dirty")

    def restart(self) -> None:
        """Restart the kernel; outputs stay."""
        self.page.evaluate(f"async () => {{ await {self._panel}.sessionContext.session.kernel.restart(); }}")
        self.wait_idle()


class Page(Screen):
    """A notebook as Voila shows it."""

    def _ready(self) -> None:
        self.page.locator("#loading").wait_for(state="hidden", timeout=PATIENCE * 90_000)
