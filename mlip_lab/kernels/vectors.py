"""Vectors as long as a register: what compiled kernels compute with, line by line.

LLVM makes vectors out of inner loops, where it sees that it may. Here atoms of a block lie side by side, and functions
of hundreds of lines run over them at once: with vectors written down each line is one instruction, and what it costs
does not hang on what an optimiser sees. + - * / work on vectors, and on a vector and a number.

The functions here say what is meant, on NumPy, and run where Numba is told not to compile; vector_code.py has the
compiled ones. An array has one dimension; indices count from its begin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import llvmlite.binding
import numpy as np
from numba import config
from numpy.typing import NDArray

BYTES = 64 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 32  # of a vector

Array = NDArray[Any]


def lanes(precision: str) -> int:
    """Numbers in a vector."""
    return BYTES // np.dtype(precision).itemsize


if TYPE_CHECKING or config.DISABLE_JIT:

    def load(array: Array, index: int) -> Array:
        """The elements from index on."""
        return array[index : index + BYTES // array.itemsize].copy()

    def splat(array: Array, index: int) -> Array:
        """One element, in every place."""
        return np.full(BYTES // array.itemsize, array[index])

    def full(number: Any) -> Array:
        """A number, in every place."""
        return np.full(BYTES // np.asarray(number).itemsize, number)

    def store(array: Array, index: int, vector: Array) -> None:
        """Write the elements from index on."""
        array[index : index + BYTES // array.itemsize] = vector

    def narrow(array: Array, index: int, vector: Array) -> None:
        """The same to an array in single precision."""
        array[index : index + vector.size] = vector

    def root(vector: Array) -> Array:
        """Square roots."""
        return np.sqrt(vector)

    def positive(vector: Array) -> Array:
        """Zero in place of what is negative."""
        return np.maximum(vector, 0)

    def total(vector: Array) -> Any:
        """Sum of the elements."""
        return vector.sum()

    def whole_vectors() -> None:
        """Let the function that calls this use registers of 64 bytes, and an aligned stack for what they do not hold.

        LLVM keeps to half of them, for fear of heat, and to the alignment of the caller, by which every vector that
        leaves a register lies on two cache lines. For the outermost function, which others are copied into.
        """

else:
    from mlip_lab.kernels.vector_code import (  # noqa: F401 - in place of the above
        full,
        load,
        narrow,
        positive,
        root,
        splat,
        store,
        total,
        whole_vectors,
    )
