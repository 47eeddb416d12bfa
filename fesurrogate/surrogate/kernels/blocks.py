"""What all kernels share: the products and hyperbolic tangents of a block."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from fesurrogate.machine_code import OPTIONS

Numbers = NDArray[Any]  # of the dtype of the weights

POINTS = 64
TILE = 4  # rows of a product whose sums stay in registers; layers are padded to multiples of it
VECTOR = 64  # bytes of each such sum: a whole line of the cache


@intrinsic
def add_tile(typing: Any, matrix: Any, source: Any, target: Any, row: Any, point: Any) -> Any:
    """Add TILE rows of matrix @ source to the target, for a vector of points.

    LLVM makes no such thing of loops in Python: it does not keep sums in registers while it goes
    through the columns of the matrix. Three of five operations would then be loads and stores.
    """
    size = matrix.dtype.bitwidth // 8

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        weights, sources, targets = (
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args[:3], arguments[:3], strict=True)
        )
        first, start = arguments[3:]
        number, word = context.get_data_type(matrix.dtype), first.type
        vector = ir.VectorType(number, VECTOR // size)

        def address(array: Any, i: Any, j: Any, kind: Any) -> Any:
            stride = cgutils.unpack_tuple(builder, array.strides)[0]
            offset = builder.add(builder.mul(i, stride), builder.mul(j, ir.Constant(word, size)))
            place = builder.add(builder.ptrtoint(array.data, word), offset)
            return builder.inttoptr(place, kind.as_pointer())

        def load(array: Any, i: Any, j: Any, kind: Any) -> Any:
            return builder.load(address(array, i, j, kind), align=size)

        rows = [builder.add(first, ir.Constant(word, i)) for i in range(TILE)]
        sums = [cgutils.alloca_once_value(builder, load(targets, i, start, vector)) for i in rows]
        nothing = ir.Constant(vector, ir.Undefined)
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), None)  # all take lane 0
        columns = cgutils.unpack_tuple(builder, sources.shape)[0]
        with cgutils.for_range(builder, columns, intp=word) as loop:
            several = load(sources, loop.index, start, vector)
            for i, total in zip(rows, sums, strict=True):
                weight = load(weights, i, loop.index, number)
                lane = builder.insert_element(nothing, weight, ir.Constant(ir.IntType(32), 0))
                spread = builder.shuffle_vector(lane, nothing, lanes)
                product = builder.fmul(spread, several, flags=("contract",))
                added = builder.fadd(builder.load(total), product, flags=("contract",))
                builder.store(added, total)
        for i, total in zip(rows, sums, strict=True):
            builder.store(builder.load(total), address(targets, i, start, vector), align=size)
        return context.get_dummy_value()

    return types.void(matrix, source, target, types.intp, types.intp), generate


@njit(**OPTIONS)
def add_product(
    matrix: Numbers,  # (r or more, k or more), contiguous rows
    source: Numbers,  # (k, b)
    target: Numbers,  # (r, b), r a multiple of TILE
) -> None:
    """Add matrix @ source to the target."""
    for p in range(0, POINTS, VECTOR // matrix.itemsize):
        for i in range(0, len(target), TILE):
            add_tile(matrix, source, target, i, p)


@njit(**OPTIONS)
def tanh(
    z: Numbers,  # (h, b)
    power: Numbers,  # (b,)
    bits: NDArray[Any],  # (b,), the same memory as integers
    table: Numbers,  # (14,)
    exponent: NDArray[Any],  # (2,), integers: bits of the mantissa, the exponent of 1 in its place
) -> None:
    """Replace z by tanh z: to 4 units in the last place, odd, ±1 far out, NaN where z is NaN.

    With z = k ln 2 / 2 + v, E = 2^k and u = tanh v of |v| <= ln 2 / 4 from its Taylor series,

    tanh z = [(E - 1) + (E + 1) u] / [(E + 1) + (E - 1) u].

    Adding ``rounder`` leaves k in the last bits of the sum, from where they move to the exponent.
    """
    limit, inverse, rounder, high, low, one = table[:6]
    c1, c2, c3, c4, c5, c6, c7, c8 = table[6:14]
    shift, offset = exponent
    for i in range(len(z)):
        for p in range(POINTS):
            x = z[i, p]
            x = limit if x > limit else x
            x = -limit if x < -limit else x
            shifted = x * inverse + rounder
            k = shifted - rounder
            power[p] = shifted
            z[i, p] = (x - k * high) - k * low
        for p in range(POINTS):
            bits[p] = (bits[p] << shift) + offset
        for p in range(POINTS):
            v = z[i, p]
            w = v * v
            u = ((((((c8 * w + c7) * w + c6) * w + c5) * w + c4) * w + c3) * w + c2) * w + c1
            u = v + v * (w * u)
            below, above = power[p] - one, power[p] + one
            z[i, p] = (below + above * u) / (above + below * u)


@njit(**OPTIONS)
def copy(
    source: Numbers,  # (r, b)
    target: Numbers,  # (r, b)
) -> None:
    """Copy rows, from one dtype to another where they differ.

    ``target[:] = source`` takes Numba 4 s more to compile, most of it for the message of an error.
    """
    for i in range(len(source)):
        for p in range(POINTS):
            target[i, p] = source[i, p]
