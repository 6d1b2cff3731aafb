"""Fits run on one thread and leave the number of threads as it was."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from mlip_lab.model.threads import one_thread

torch = pytest.importorskip("torch")


def blas_threads() -> list[int]:
    np.linalg.inv(np.eye(2))  # loads the library
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_one_thread_and_back_also_after_an_error() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        outside = blas_threads()
        with pytest.raises(ZeroDivisionError), one_thread():
            assert torch.get_num_threads() == 1 and set(blas_threads()) == {1}
            raise ZeroDivisionError
        assert torch.get_num_threads() == 2 and blas_threads() == outside
    finally:
        torch.set_num_threads(before)
