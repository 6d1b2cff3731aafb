"""A panel: a capability, its model and its view, shown by a notebook when it is the last line of a cell."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from IPython.display import HTML, DisplayHandle, display

from mlip_lab.core.errors import CalculationError
from mlip_lab.panels.base.capability import Capability
from mlip_lab.panels.base.clicks import hear_all_clicks
from mlip_lab.panels.base.model import PanelModel
from mlip_lab.panels.base.shelf import Shelf
from mlip_lab.panels.base.view import PanelView, saved_html


class Panel:
    """What `panels.elastic(...)` and the others give.

    Attributes:
        model: The observable state; set its inputs with `model.set(name, value)`.
    """

    def __init__(
        self, capability: Capability, shelf: Shelf, values: Mapping[str, Any] | None = None, *, show_shelf: bool = True
    ) -> None:
        """Make the model; structure and potential are chosen in the panel if `show_shelf`."""
        self.model = PanelModel(capability, shelf, values)
        self._show_shelf = show_shelf
        self._kept: DisplayHandle | None = None
        self.model.listeners.append(self._keep)

    @cached_property
    def view(self) -> PanelView:
        """The widgets, made when first asked for: a Lab with many panels shows one."""
        return PanelView(self.model, show_shelf=self._show_shelf)

    @property
    def result(self) -> Any:
        """The last result; None before the first run has ended."""
        return self.model.result

    def run(self, *, wait: bool = True) -> Any:
        """Run as the button does.

        Args:
            wait: Whether to wait for the end. An interrupt stops the run and keeps what is finished.

        Returns:
            The result; None without waiting.

        Raises:
            InputError: If Run is disabled, with the reason.
            CalculationError: If the run fails.
        """
        self.model.run()
        return self.wait() if wait else None

    def resume(self, *, wait: bool = True) -> Any:
        """Go on with a stopped run, as Continue does; see `run`."""
        self.model.resume()
        return self.wait() if wait else None

    def stop(self) -> None:
        """Stop as the button does; what is finished is kept."""
        self.model.stop()

    def wait(self) -> Any:
        """Wait for the end of a run and give its result."""
        try:
            self.model.wait()
        except KeyboardInterrupt:
            self.model.stop()
            self.model.wait()
        if self.model.state == "failed":
            raise CalculationError(self.model.words)
        self._keep(self.model)  # from the cell itself, for programs that run notebooks
        return self.result

    def _keep(self, _: PanelModel) -> None:
        if self._kept is not None:
            self._kept.update(HTML(saved_html(self.model)))

    def _ipython_display_(self) -> None:
        hear_all_clicks()
        display(self.view.widget)
        self._kept = display(HTML(saved_html(self.model)), display_id=True)
