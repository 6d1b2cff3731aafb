"""A panel without a browser: every state is reached by setting inputs and pressing what the buttons press."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from ase.build import molecule

from mlip_lab.core.errors import InputError
from mlip_lab.panels.base import worker
from mlip_lab.panels.base.model import PanelModel
from mlip_lab.panels.base.shelf import Shelf, Snippet, StructureEntry
from mlip_lab.panels.base.worker import Job, Painter
from tests.panels.toy import COUNT, shelf


@pytest.fixture
def model() -> PanelModel:
    return PanelModel(COUNT, shelf())


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def run_and_stop(model: PanelModel) -> None:
    model.set("steps", "60")
    model.set("pause", "0.02")
    model.run()
    wait_for(lambda: model.done >= 2)
    model.stop()


def test_without_structure_it_is_empty_and_says_what_is_missing() -> None:
    model = PanelModel(COUNT, Shelf())
    assert model.state == "empty"
    assert model.reason == "Structure: choose a structure."
    with pytest.raises(InputError, match="Run is not possible: Structure"):
        model.run()


def test_ready_running_done(model: PanelModel) -> None:
    states: list[str] = []
    model.observe(lambda change: states.append(change["new"]), names="state")
    assert model.state == "ready"
    model.run()
    assert model.wait(60)
    assert states == ["running", "done"]
    assert model.result.numbers == tuple(range(20))
    assert model.picture.startswith(b"\x89PNG") and model.alt == "Counted to 20."
    assert [v.text for v in model.verdicts] == ["It was counted."]
    assert model.numbers[0].value == 19
    assert model.record is not None and model.record.data == {"numbers": list(range(20))}


def test_nonsense_is_kept_and_disables_run(model: PanelModel) -> None:
    model.set("scale", "abc")
    assert model.raw["scale"] == "abc"
    assert set(model.problems) == {"scale"}
    assert model.state == "empty" and "got 'abc'" in model.reason
    assert model.code == ""
    model.set("scale", "2")
    assert (model.state, model.reason) == ("ready", "")


def test_a_capability_may_refuse_what_each_input_allows(model: PanelModel) -> None:
    model.shelf.add_structure(StructureEntry("water", molecule("H2O"), Snippet('molecule("H2O")')))
    model.set("atoms", "water")
    assert model.reason == "needs a periodic cell"


def test_a_potential_may_refuse_a_structure() -> None:
    made = shelf()
    made.add_potential(replace(made.potentials["EMT"], name="picky", refuses=lambda atoms: "picky knows no copper"))
    model = PanelModel(COUNT, made)
    model.set("calculator", "picky")
    assert model.reason == "picky knows no copper"


def test_fields_without_meaning_are_hidden_and_harmless(model: PanelModel) -> None:
    model.set("goal", "nonsense")
    assert "goal" not in model.shown and model.reason == ""
    model.set("loud", True)
    assert "goal" in model.shown and "Goal" in model.reason


def test_stop_keeps_what_is_done_and_continue_goes_on(model: PanelModel) -> None:
    model.set("steps", "60")
    model.set("pause", "0.02")
    model.run()
    wait_for(lambda: model.done >= 10)
    model.stop()
    assert model.wait(60)
    assert model.state == "stopped"
    first = model.result.numbers
    assert 10 <= len(first) < 60  # what was left would have taken a second
    assert model.words == f"Stopped after {len(first)} of 60 numbers. Continue picks up there."
    model.resume()
    assert model.wait(60)
    assert model.state == "done" and model.result.numbers == tuple(range(60))


def test_a_stop_is_said_before_its_picture_is_drawn(model: PanelModel) -> None:
    seen, draw = threading.Event(), COUNT.picture

    def drawn_late(result: Any) -> Any:
        assert seen.wait(60)
        return draw(result)

    model = PanelModel(replace(COUNT, picture=drawn_late), model.shelf)
    run_and_stop(model)
    wait_for(lambda: model.stage == f"Stopped after {model.done} of 60 numbers")
    assert model.state == "running" and model.record is None
    seen.set()
    assert model.wait(60)
    assert model.state == "stopped" and model.record is not None


def test_a_stop_without_a_result_shows_the_last_picture(model: PanelModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a training: what it told last was waiting for its turn to be drawn."""
    monkeypatch.setattr(worker, "REPORT_EVERY", 0.0)  # all that is told is asked to be drawn, and little of it drawn
    drawn: list[int] = []

    @functools.wraps(COUNT.function)
    def never_gives(*_: Any, progress: Callable[..., None], **__: Any) -> None:
        for number in range(1, 10_001):
            progress(number, 10_000, level=float(number))
            time.sleep(0.002)

    def live(told: Mapping[str, Any]) -> None:
        began = time.thread_time()
        while time.thread_time() - began < 0.01:
            pass
        drawn.append(told["done"])

    model = PanelModel(replace(COUNT, function=never_gives, live=live), model.shelf)
    model.run()
    try:
        wait_for(lambda: model.done > 100)
    finally:  # no test after this one may wait for it
        model.stop()
        assert model.wait(60)
    assert model.state == "stopped" and model.words.startswith(f"Stopped after {model.done}")
    last = model.done - 1  # the call that finds out that it shall stop tells nothing
    wait_for(lambda: drawn[-1:] == [last])
    assert len(drawn) < last / 2


def test_a_run_that_starts_over_says_so(model: PanelModel) -> None:
    model = PanelModel(replace(COUNT, starts_over=lambda values: values["way"] == "up"), model.shelf)
    run_and_stop(model)
    assert model.wait(60)
    assert model.words.endswith("Continue starts again.")
    model.resume()
    assert model.done == 0


def test_what_was_reached_is_not_forgotten_while_continuing_begins(model: PanelModel) -> None:
    """As when the same data are read and prepared again before the next epoch."""
    go_on = threading.Event()

    def prepares(partial: Any, arguments: Any, progress: Callable[..., None]) -> Any:
        progress(0, 60)
        go_on.wait(60)
        progress(0, 60)

    model = PanelModel(replace(COUNT, resume=prepares), model.shelf)
    run_and_stop(model)
    assert model.wait(60)
    words = model.words
    model.resume()
    wait_for(lambda: model.stage == "Running")
    model.stop()
    go_on.set()
    assert model.wait(60)
    assert model.words == words and not words.startswith("Stopped before")


def test_drawing_takes_a_tenth_of_one_core_at_most() -> None:
    painter, spent = Painter(), [0.0]

    def draw() -> None:
        began = time.thread_time()
        while time.thread_time() - began < 0.05:
            pass
        spent[0] += time.thread_time() - began

    painter.ask(draw)
    wait_for(lambda: spent[0] > 0)  # the thread may still pause after another test's picture
    began, before = time.monotonic(), spent[0]
    while time.monotonic() - began < 3.0:
        painter.ask(draw)
        time.sleep(0.01)
    painter.forget()
    # the last picture's pause may not be over yet
    assert 0.05 <= spent[0] - before <= 0.1 * (time.monotonic() - began) + 0.06


def test_asking_whether_to_stop_takes_no_turn_of_what_is_drawn() -> None:
    reported: list[tuple[int, bool]] = []

    def work(progress: Callable[..., None]) -> None:
        for epoch in range(8):
            for _ in range(60):
                time.sleep(0.001)
                progress(epoch, 8)
            progress(epoch + 1, 8, error=1.0)

    job = Job(work, lambda done, total, live: reported.append((done, bool(live))), lambda *_: None)
    job.run()
    assert reported[0] == (0, False) and reported[-1] == (8, True)
    assert len(reported) >= 3 and all(drawn for _, drawn in reported[1:])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_onlooker_that_fails_does_not_stop_the_worker(model: PanelModel) -> None:
    def broken(change: Any) -> None:
        if change["new"]:
            raise ValueError("no eyes")

    model.observe(broken, names="numbers")
    model.run()
    assert model.wait(60)
    other = PanelModel(COUNT, model.shelf)
    other.run()
    assert other.wait(60) and other.state == "done"


def test_continue_is_only_for_a_stopped_run(model: PanelModel) -> None:
    with pytest.raises(InputError, match="this one is ready"):
        model.resume()


def test_changed_inputs_make_a_result_stale_and_back(model: PanelModel) -> None:
    model.run()
    model.wait(60)
    shown = model.picture
    model.set("scale", "3")
    assert model.state == "stale" and model.picture == shown
    model.set("scale", "1.5")
    assert model.state == "done"


def test_another_structure_of_the_same_name_makes_it_stale(model: PanelModel) -> None:
    model.run()
    model.wait(60)
    entry = model.shelf.structures["copper"]
    model.shelf.remove("copper")
    assert model.state == "stale" and "no longer there" in model.reason
    model.shelf.add_structure(StructureEntry("copper", entry.atoms.repeat(2), entry.code))
    assert model.state == "stale"


def test_an_error_ends_in_words_and_leaves_the_panel_usable(model: PanelModel) -> None:
    model.set("fail_at", "5")
    model.run()
    model.wait(60)
    assert model.state == "failed"
    assert model.words == "Counting failed at 5. Count less far."
    assert "Traceback" in model.details
    model.set("fail_at", "")
    assert model.state == "ready"
    model.run()
    model.wait(60)
    assert model.state == "done" and model.words == ""


def test_a_picture_that_cannot_be_drawn_is_an_error_in_words() -> None:
    def broken(_: Any) -> Any:
        raise ValueError("no ink")

    model = PanelModel(replace(COUNT, picture=broken), shelf())
    model.run()
    model.wait(60)
    assert (model.state, model.words) == ("failed", "This did not work: ValueError: no ink")


def test_live_pictures_come_at_most_five_times_a_second(model: PanelModel) -> None:
    times: list[float] = []
    reports: list[int] = []
    model.observe(lambda _: times.append(time.monotonic()), names="pictures")
    model.observe(lambda change: reports.append(change["new"]), names="done")
    model.set("steps", "250")  # longer than the longest pause of the thread that draws
    model.set("pause", "0.02")
    began = time.monotonic()
    model.run()
    model.wait(60)
    took = time.monotonic() - began
    assert len(times) >= 2, "a live picture and the last one"
    assert all(later - sooner >= 0.2 for sooner, later in itertools.pairwise(times[:-1]))
    assert len(reports) <= took / 0.2 + 3


def test_time_left_is_about_right(model: PanelModel) -> None:
    left: list[tuple[float, float]] = []
    model.observe(lambda change: left.append((change["new"], time.monotonic())), names="left")
    model.set("steps", "100")
    model.set("pause", "0.015")
    model.run()
    model.wait(60)
    ended = time.monotonic()
    middle = [(value, ended - when) for value, when in left if 0.3 < ended - when < 1.0 and value > 0]
    assert middle, "no estimate in the later half"
    # The pace is even, so the estimate is off by the clock's and the machine's noise only.
    assert all(abs(value - truth) < 0.5 for value, truth in middle)


def test_runs_of_two_panels_take_turns_on_one_worker(model: PanelModel) -> None:
    other = PanelModel(COUNT, model.shelf)
    for panel in (model, other):
        panel.set("steps", "20")
        panel.set("pause", "0.02")
        panel.run()
    assert other.stage == "Waiting for another run to end"
    other.stop()
    assert other.wait(60) and model.wait(60)
    assert (model.state, other.state) == ("done", "stopped")
    assert "before anything was finished" in other.words


def test_threads_do_not_grow_with_panels_and_runs() -> None:
    panels = [PanelModel(COUNT, shelf()) for _ in range(10)]
    panels[0].run()
    panels[0].wait(60)
    before = threading.active_count()
    for turn in range(100):
        panel = panels[turn % 10]
        panel.set("steps", str(turn % 5 + 1))
        panel.run()
        assert panel.wait(60)
    assert threading.active_count() <= before


def test_a_record_shows_again_what_it_held(model: PanelModel) -> None:
    model.set("scale", "4")
    model.run()
    model.wait(60)
    fresh = PanelModel(COUNT, model.shelf)
    assert model.record is not None
    fresh.show(model.record)
    assert fresh.state == "done" and fresh.raw["scale"] == "4"
    assert (fresh.picture, fresh.numbers, fresh.verdicts) == (model.picture, model.numbers, model.verdicts)
    fresh.set("scale", "5")
    assert fresh.state == "stale"


def test_unknown_inputs_are_refused(model: PanelModel) -> None:
    with pytest.raises(InputError, match="nonsense: expected one of atoms"):
        model.set("nonsense", 1)
    with pytest.raises(InputError, match="nonsense: expected one of atoms"):
        PanelModel(COUNT, shelf(), {"nonsense": 1})
