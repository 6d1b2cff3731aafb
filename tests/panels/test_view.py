"""The view shows the model and passes on clicks; tested without a browser, on the widgets' Python side."""

from __future__ import annotations

import gc
from typing import Any

import ipywidgets as widgets
import pytest

from mlip_lab.panels.base.look import numbers_html
from mlip_lab.panels.base.model import PanelModel
from mlip_lab.panels.base.panel import Panel
from mlip_lab.panels.base.record import Number, Record
from mlip_lab.panels.base.view import PanelView, saved_html
from tests.panels.toy import COUNT, shelf


@pytest.fixture
def view() -> Any:
    view = PanelView(PanelModel(COUNT, shelf()))
    yield view
    view.close()


def done(view: PanelView) -> None:
    view.run.click()
    assert view.model.wait(60)


def test_inputs_show_defaults_with_unit_and_help(view: PanelView) -> None:
    row = view.rows["scale"]
    assert (row.input.description, row.input.value) == ("Scale", "1.5")
    assert row.widget.children[0].children[1].value == "Å"
    assert "above 0 and at most 10" in row.input.tooltip
    assert view.rows["loud"].input.value is False
    assert [value for _, value in view.rows["way"].input.options] == ["up", "down"]
    assert [value for _, value in view.rows["atoms"].input.options] == ["copper"]
    assert "goal" in view.rows and view.rows["goal"].widget.layout.display == "none"


def test_typing_nonsense_marks_the_field_and_disables_run(view: PanelView) -> None:
    row = view.rows["scale"]
    row.input.value = "abc"
    assert "mlip-bad" in row.input._dom_classes
    assert "got &#x27;abc&#x27;" in row._problem.value
    assert view.run.disabled and "expected a number in Å" in view.status.value
    row.input.value = "2"
    assert "mlip-bad" not in row.input._dom_classes
    assert not view.run.disabled


def test_buttons_follow_the_state(view: PanelView) -> None:
    assert (view.run.disabled, view.stop.disabled, view.resume.disabled) == (False, True, True)
    assert view.save_picture.disabled and view.save_data.disabled
    view.rows["steps"].input.value = "200"
    view.rows["pause"].input.value = "0.02"
    view.run.click()
    assert (view.run.disabled, view.stop.disabled) == (True, False)
    view.stop.click()
    assert view.model.wait(60)
    assert (view.run.disabled, view.stop.disabled, view.resume.disabled) == (False, True, False)
    assert "Stopped" in view.status.value


def test_result_picture_numbers_and_judgements(view: PanelView) -> None:
    assert "Run shows here" in view.picture.children[0].value, "the sketch says what will be shown"
    done(view)
    image, caption = view.picture.children
    assert isinstance(image, widgets.Image) and bytes(image.value).startswith(b"\x89PNG")
    assert image.tooltip == "Counted to 20." and "Counted to 20." in caption.value
    assert "✓" in view.verdicts.value and "20 numbers" in view.verdicts.value
    assert "19.00 ± 0.50" in view.numbers.value and "the book" in view.numbers.value and "+90.0 %" in view.numbers.value
    view.rows["scale"].input.value = "3"
    assert "mlip-stale" in view.picture._dom_classes and "have changed" in view.status.value


def test_enter_runs(view: PanelView) -> None:
    view.rows["scale"].input._handle_custom_msg({"event": "submit"}, [])
    assert view.model.state == "running" and view.model.wait(60)
    view.rows["scale"].input.value = "abc"
    view.rows["scale"].input._handle_custom_msg({"event": "submit"}, [])
    assert view.model.state != "running"


def test_an_error_is_a_sentence_with_details_folded(view: PanelView) -> None:
    view.rows["fail_at"].input.value = "3"
    done(view)
    assert "Counting failed at 3. Count less far." in view.status.value
    assert "<details>" in view.status.value and "role='alert'" in view.status.value


def test_code_is_shown_on_request(view: PanelView) -> None:
    assert view.code.layout.display == "none"
    view.show_code.value = True
    assert view.code.layout.display != "none"
    assert view.code.value == view.model.code and "count(atoms, calculator)" in view.code.value


def test_help_opens_and_closes() -> None:
    from dataclasses import replace

    view = PanelView(PanelModel(replace(COUNT, formula="$1+1=2$"), shelf()))
    line, _, text = view.head.children
    ask = line.children[1]
    assert text.layout.display == "none"
    ask.value = True
    assert text.layout.display == "" and "1+1" in text.value
    view.close()


def test_saving_writes_picture_and_data(view: PanelView, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    monkeypatch.chdir(tmp_path)
    done(view)
    view.save_picture.click()
    view.save_picture.click()
    view.save_data.click()
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "count-2.png",
        "count-2.svg",
        "count.json",
        "count.png",
        "count.svg",
    ]
    assert (tmp_path / "count.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "count.svg").read_bytes()
    content = json.loads((tmp_path / "count.json").read_text())
    assert content["numbers"][0] == {
        "name": "last",
        "value": 19,
        "error": 0.5,
        "unit": "Å",
        "reference": 10.0,
        "source": "the book",
    }
    assert content["inputs"]["atoms"] == "copper" and "count(" in content["code"]
    assert "count.json" in view.said.value


def test_a_folder_that_cannot_be_written_is_said(
    view: PanelView, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlip_lab.panels.base.saving as saving
    from mlip_lab.core.errors import InputError

    def refuse(*_: Any) -> None:
        raise InputError("Cannot write to the folder here. Choose another folder.")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(saving, "write_bytes", refuse)
    done(view)
    view.save_picture.click()
    assert "Cannot write" in view.said.value


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (11.5653481, 1.43e-5, "11.565348 ± 0.000014"),
        (1.5653481, 1.43e-5, "1.565348 ± 0.000014"),
        (-0.0070358, 3.4e-7, "(-7.03580 ± 0.00034) × 10<sup>-3</sup>"),
        (0.0, 2e-9, "(0.0 ± 2.0) × 10<sup>-9</sup>"),
        (134.4, 0.0077, "134.4000 ± 0.0077"),
    ],
)
def test_any_number_has_digits_that_fit_its_error(value: float, error: float, shown: str) -> None:
    assert f"<td>{shown}</td>" in numbers_html([Number("n", value, "eV", error)])


def test_what_a_closed_notebook_shows(view: PanelView) -> None:
    assert saved_html(view.model) == ""
    done(view)
    html = saved_html(view.model)
    assert "data:image/png;base64," in html and "alt='Counted to 20.'" in html and "19.00 ± 0.50" in html


def test_words_are_escaped(view: PanelView) -> None:
    view.model.show(Record("count", {}, b"\x89PNG", "<script>alert(1)</script>"))
    assert "<script>" not in saved_html(view.model)
    assert "<script>" not in view.picture.children[1].value


def test_a_panel_runs_waits_and_fails_in_words() -> None:
    from mlip_lab.core.errors import CalculationError

    panel = Panel(COUNT, shelf())
    assert panel.run().numbers == tuple(range(20))
    panel.model.set("fail_at", 2)
    with pytest.raises(CalculationError, match="Counting failed at 2"):
        panel.run()
    panel.view.close()


def test_hundred_runs_and_ten_panels_leave_nothing_behind() -> None:
    panels = [Panel(COUNT, shelf(), {"steps": 2}) for _ in range(10)]
    for panel in panels:
        panel.run()
    gc.collect()
    before = len(widgets.widget._instances)
    for turn in range(100):
        panels[turn % 10].run()
    gc.collect()
    assert len(widgets.widget._instances) <= before
    for panel in panels:
        panel.view.close()
