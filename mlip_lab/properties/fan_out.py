"""One function over many inputs, here or on an executor, with progress."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import TypeVar

from mlip_lab.core.errors import InputError
from mlip_lab.core.progress import Progress

Task = TypeVar("Task")
Result = TypeVar("Result")


def fan_out(
    function: Callable[[Task], Result], tasks: Iterable[Task], executor: Executor | None, progress: Progress
) -> list[Result]:
    """Results of `function` for every task, in order.

    Args:
        function: A module-level function (or a partial of one), so that it can be sent to another process.
        tasks: Its inputs.
        executor: None to run in place, a process pool, or a cluster's executor.
        progress: Called after each task, in order; if it raises, the tasks not yet started are dropped.

    Raises:
        InputError: If the function, with its calculator, cannot be sent to another process.
    """
    waiting = list(tasks)
    results: list[Result] = []
    if executor is None:
        for task in waiting:
            results.append(function(task))
            progress(len(results), len(waiting))
        return results
    _check_can_travel(function)
    futures = [executor.submit(function, task) for task in waiting]
    try:
        for future in futures:
            results.append(future.result())
            progress(len(results), len(waiting))
    finally:
        for future in futures:
            future.cancel()
    return results


def _check_can_travel(function: Callable[..., object]) -> None:
    # Asked here because a pool reports it from its own thread, and some Python versions then wait for ever.
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"calculator: it cannot be sent to another process ({error}). Use executor=None, or a calculator that "
            "can be pickled."
        ) from error
