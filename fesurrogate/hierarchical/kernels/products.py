"""Products of the splines of all axes: contracted axis by axis, the last one first."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from fesurrogate.kinematics import Array
from fesurrogate.machine_code import compiled

VECTOR = 8
"""Numbers whose sums stay in registers: a row is filled up to a multiple of them."""


def mixing(sets: int) -> Any:
    """Return what writes weights[k] @ source[row : row + count], k < sets, to rows of a target.

    Of such loops in Python LLVM makes several, chosen among at run time, as it cannot know that
    arrays do not overlap: rows are so short that the choice costs several times the products.
    """

    @intrinsic
    def mix(
        typing: Any, weights: Any, count: Any, source: Any, row: Any, target: Any, to: Any,
        apart: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            factors, sources, targets = (
                context.make_array(signature.args[k])(context, builder, arguments[k])
                for k in (0, 2, 4)
            )
            count, row, to, apart = (arguments[k] for k in (1, 3, 5, 6))
            number, word = ir.DoubleType(), count.type
            vector = ir.VectorType(number, VECTOR)
            nothing, zero = ir.Constant(vector, ir.Undefined), ir.Constant(vector, [0.0] * VECTOR)
            first = ir.Constant(ir.IntType(32), 0)
            lanes = ir.Constant(ir.VectorType(ir.IntType(32), VECTOR), None)  # all take lane 0

            def address(array: Any, i: Any, offset: Any, kind: Any) -> Any:
                before = builder.mul(i, cgutils.unpack_tuple(builder, array.strides)[0])
                place = builder.add(builder.ptrtoint(array.data, word), builder.add(before, offset))
                return builder.inttoptr(place, kind.as_pointer())

            columns = cgutils.unpack_tuple(builder, sources.shape)[1]
            blocks = builder.sdiv(columns, ir.Constant(word, VECTOR))
            sums = [cgutils.alloca_once(builder, vector) for _ in range(sets)]
            with cgutils.for_range(builder, blocks, intp=word) as block:
                column = builder.mul(block.index, ir.Constant(word, 8 * VECTOR))
                for total in sums:
                    builder.store(zero, total)
                with cgutils.for_range(builder, count, intp=word) as term:
                    place = address(sources, builder.add(row, term.index), column, vector)
                    several = builder.load(place, align=8)
                    own = builder.mul(term.index, ir.Constant(word, 8))
                    for k, total in enumerate(sums):
                        weight = builder.load(address(factors, ir.Constant(word, k), own, number))
                        lane = builder.insert_element(nothing, weight, first)
                        spread = builder.shuffle_vector(lane, nothing, lanes)
                        product = builder.fmul(spread, several, flags=("contract",))
                        added = builder.fadd(builder.load(total), product, flags=("contract",))
                        builder.store(added, total)
                for k, total in enumerate(sums):
                    line = builder.add(to, builder.mul(apart, ir.Constant(word, k)))
                    place = address(targets, line, column, vector)
                    builder.store(builder.load(total), place, align=8)
            return context.get_dummy_value()

        own = (weights, types.intp, source, types.intp, target, types.intp, types.intp)
        return types.void(*own), generate

    return mix


mix, mix_both = mixing(1), mixing(2)


@compiled
def products(
    first: NDArray[np.int64],  # (n, p)
    weights: Array,  # (n, p, 2, 4)
    counts: NDArray[np.int64],  # (p,)
    widths: NDArray[np.int64],  # (p,), weights that are not zero
    table: Array,  # (k_1 ... k_p, w), c coefficients of each entry, filled up to VECTOR
    found: Array,  # (n, 1 + p, c), written; (n, 1, c) without the derivatives
) -> None:
    """Write values and derivatives."""
    n, p = first.shape
    last, slopes = p - 1, found.shape[1] > 1
    strides, corners = np.ones(p, np.int64), 1
    for k in range(p - 2, -1, -1):
        strides[k] = strides[k + 1] * counts[k + 1]
        corners *= widths[k]
    offsets = np.zeros(corners, np.int64)
    for o in range(corners):
        rest = o
        for k in range(p - 2, -1, -1):
            offsets[o] += (rest % widths[k]) * strides[k]
            rest //= widths[k]
    # rows of values, then of derivatives along the last axis, the last but one ...
    work = np.empty(((p + 1) * corners, table.shape[1]))
    for i in range(n):
        base = 0
        for k in range(p):
            base += first[i, k] * strides[k]
        own, width = weights[i, last], widths[last]
        for o in range(corners):
            if slopes:
                mix_both(own, width, table, base + offsets[o], work, o, corners)
            else:
                mix(own, width, table, base + offsets[o], work, o, 0)
        left = corners
        for k in range(last - 1, -1, -1):
            own, width, behind = weights[i, k], widths[k], last - k + 1
            left //= width
            for o in range(left):
                if slopes:
                    mix_both(own, width, work, o * width, work, o, behind * corners)
                else:
                    mix(own, width, work, o * width, work, o, 0)
                for q in range(1, behind if slopes else 1):
                    mix(own, width, work, q * corners + o * width, work, q * corners + o, 0)
        for j in range(found.shape[2]):
            found[i, 0, j] = work[0, j]
        for q in range(1, found.shape[1]):
            for j in range(found.shape[2]):
                found[i, q, j] = work[(p + 1 - q) * corners, j]
