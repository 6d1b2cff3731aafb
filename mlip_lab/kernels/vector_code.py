"""How Numba compiles what vectors.py says: a type for vectors, its arithmetic, and functions that are one instruction.

Each function that Numba calls here takes the compiler's context, the place where code is emitted, the types and the
values of the arguments, and returns the value of the result.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from mlip_lab.kernels.vectors import BYTES

INDEX = ir.IntType(32)  # of an element


class Vector(types.Type):
    """A vector of floating-point numbers."""

    def __init__(self, dtype: types.Float) -> None:
        """Of as many as a register holds."""
        self.dtype, self.size = dtype, 8 * BYTES // dtype.bitwidth
        super().__init__(f"Vector({dtype} x {self.size})")

    @property
    def code(self) -> ir.VectorType:
        """As LLVM calls it."""
        return ir.VectorType(ir.FloatType() if self.dtype.bitwidth == 32 else ir.DoubleType(), self.size)


@register_model(Vector)
class _Model(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, vector.code)


class _Arithmetic(AbstractTemplate):
    metadata = {"target": "cpu"}  # noqa: RUF012 - as Numba has it: asked before the ten generic kinds

    def generic(self, args: Any, kws: Any) -> Any:
        """A vector with a vector or a number."""
        found = [one for one in args if isinstance(one, Vector)]
        if len(args) == 2 and found and all(isinstance(one, Vector | types.Float) for one in args):
            return signature(found[0], *(one if isinstance(one, Vector) else found[0].dtype for one in args))
        return None


def _operate(instruction: str) -> Callable[..., Any]:
    def operate(context: Any, builder: Any, given: Any, args: Any) -> Any:
        left, right = (
            value if isinstance(kind, Vector) else _everywhere(builder, value, given.return_type)
            for kind, value in zip(given.args, args, strict=True)
        )
        return getattr(builder, instruction)(left, right)

    return operate


for _name, _instruction in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("truediv", "fdiv")):
    for _operator in (getattr(operator, _name), getattr(operator, f"i{_name}")):
        infer_global(_operator)(type(f"_{_operator.__name__}", (_Arithmetic,), {}))
        for _kinds in ((Vector, Vector), (Vector, types.Float), (types.Float, Vector)):
            lower_builtin(_operator, *_kinds)(_operate(_instruction))


def _everywhere(builder: Any, value: Any, vector: Vector) -> Any:
    nothing = ir.Constant(vector.code, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(INDEX, 0))
    return _shuffled(builder, first, nothing, [0] * vector.size)


def _shuffled(builder: Any, left: Any, right: Any, places: Sequence[int]) -> Any:
    return builder.shuffle_vector(left, right, ir.Constant(ir.VectorType(INDEX, len(places)), places))


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any, reach: int) -> Any:
    """Pointer to an element of an array that the ones up to reach must lie in, too."""
    found = context.make_array(kind)(context, builder, value=array)
    if context.enable_boundscheck:
        for one in (index, builder.add(index, ir.Constant(index.type, reach - 1))):
            cgutils.do_boundscheck(context, builder, one, builder.extract_value(found.shape, 0))
    return builder.gep(found.data, [index])


def _read(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    vector = Vector(kind.dtype)
    place = _place(context, builder, kind, array, index, vector.size)
    return builder.load(builder.bitcast(place, vector.code.as_pointer()), align=vector.dtype.bitwidth // 8)


def _write(context: Any, builder: Any, kind: Any, array: Any, index: Any, value: Any) -> Any:
    place = _place(context, builder, kind, array, index, value.type.count)
    builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=kind.dtype.bitwidth // 8)
    return context.get_dummy_value()


def _is_flat(array: Any) -> bool:
    return isinstance(array, types.Array) and array.ndim == 1 and array.layout == "C"


@intrinsic
def load(typing_context: Any, array: Any, index: Any) -> Any:
    """See vectors.load, and so on for what follows."""
    if not _is_flat(array):
        return None

    def read(context: Any, builder: Any, given: Any, args: Any) -> Any:
        return _read(context, builder, given.args[0], *args)

    return Vector(array.dtype)(array, types.intp), read


@intrinsic
def splat(typing_context: Any, array: Any, index: Any) -> Any:
    """One element, in every place."""
    if not _is_flat(array):
        return None

    def read(context: Any, builder: Any, given: Any, args: Any) -> Any:
        array, index = args
        place = _place(context, builder, given.args[0], array, index, 1)
        return _everywhere(builder, builder.load(place), given.return_type)

    return Vector(array.dtype)(array, types.intp), read


@intrinsic
def full(typing_context: Any, number: Any) -> Any:
    """A number, in every place."""
    if not isinstance(number, types.Float):
        return None

    def make(context: Any, builder: Any, given: Any, args: Any) -> Any:
        return _everywhere(builder, args[0], given.return_type)

    return Vector(number)(number), make


@intrinsic
def store(typing_context: Any, array: Any, index: Any, vector: Any) -> Any:
    """Write the elements from index on."""
    if not (_is_flat(array) and vector == Vector(array.dtype)):
        return None

    def write(context: Any, builder: Any, given: Any, args: Any) -> Any:
        return _write(context, builder, given.args[0], *args)

    return types.void(array, types.intp, vector), write


@intrinsic
def narrow(typing_context: Any, array: Any, index: Any, vector: Any) -> Any:
    """The same to an array in single precision."""
    if not (_is_flat(array) and array.dtype == types.float32 and isinstance(vector, Vector)):
        return None

    def write(context: Any, builder: Any, given: Any, args: Any) -> Any:
        array, index, value = args
        if vector.dtype != types.float32:
            value = builder.fptrunc(value, ir.VectorType(ir.FloatType(), vector.size))
        return _write(context, builder, given.args[0], array, index, value)

    return types.void(array, types.intp, vector), write


def _call(builder: Any, name: str, vector: Vector, result: Any, args: Any, flags: tuple[str, ...] = ()) -> Any:
    """Of a function of LLVM's own."""
    kind = ir.FunctionType(result, [one.type for one in args])
    name = f"llvm.{name}.v{vector.size}f{vector.dtype.bitwidth}"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args, fastmath=flags)


@intrinsic
def root(typing_context: Any, vector: Any) -> Any:
    """Square roots."""
    if not isinstance(vector, Vector):
        return None

    def take(context: Any, builder: Any, given: Any, args: Any) -> Any:
        return _call(builder, "sqrt", vector, vector.code, args)

    return vector(vector), take


@intrinsic
def positive(typing_context: Any, vector: Any) -> Any:
    """Zero in place of what is negative."""
    if not isinstance(vector, Vector):
        return None

    def take(context: Any, builder: Any, given: Any, args: Any) -> Any:
        nothing = ir.Constant(vector.code, [0.0] * vector.size)
        return builder.select(builder.fcmp_ordered(">", args[0], nothing), args[0], nothing)

    return vector(vector), take


@intrinsic
def total(typing_context: Any, vector: Any) -> Any:
    """Sum of the elements."""
    if not isinstance(vector, Vector):
        return None

    def add(context: Any, builder: Any, given: Any, args: Any) -> Any:
        element = vector.code.element
        return _call(builder, "vector.reduce.fadd", vector, element, [ir.Constant(element, 0.0), *args], ("reassoc",))

    return vector.dtype(vector), add


@intrinsic
def whole_vectors(typing_context: Any) -> Any:
    """Registers of 64 bytes, and an aligned stack for what they do not hold."""

    def mark(context: Any, builder: Any, given: Any, args: Any) -> Any:
        # llvmlite lists only attributes without a value, and refuses others in its own `add`
        for attribute in (f'"prefer-vector-width"="{8 * BYTES}"', '"stackrealign"'):
            set.add(builder.function.attributes, attribute)
        return context.get_dummy_value()

    return types.void(), mark
