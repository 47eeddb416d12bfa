"""The whole energy network, block after block."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from fesurrogate import machine_code
from fesurrogate.kinematics import Array
from fesurrogate.machine_code import compiled
from fesurrogate.surrogate.kernels.blocks import POINTS, copy
from fesurrogate.surrogate.kernels.closed_form import (
    ClosedForm,
    add_growth,
    components,
    mix,
    push_forward,
)
from fesurrogate.surrogate.kernels.perceptron import Weights, hessian, perceptron, scratch


def stamp() -> int:
    """Return a number that changes with any file of this room, and with the options."""
    files = [Path(machine_code.__file__), *sorted(Path(__file__).parent.glob("*.py"))]
    return zlib.crc32(b"".join(file.read_bytes() for file in files))


def build(sources: int) -> Any:
    """Return the kernel; what it holds on to is a part of the key of Numba's cache.

    Numba itself looks for changes in this file only, not in those of the functions called.
    """

    @compiled
    def evaluate(
        strain: Array,  # (n, m)
        rest: Array,  # (m,)
        parameters: Array,  # (n, p), scaled
        net: Weights,
        form: ClosedForm,
        stresses: Array,  # (n, m)
        tangents: Array,  # (n, m, m); (0, m, m) where it is not wanted
        energies: Array,  # (n,)
    ) -> int:
        """Fill in the answer for admissible strains; return the stamp of the sources."""
        n, m = strain.shape
        q, count, tangent = len(form.factor), parameters.shape[1], len(tangents) > 0
        columns, h, e = np.empty((m, POINTS)), np.empty((m, POINTS)), np.empty((q, POINTS))
        z, value0, gradient0 = np.empty((count, POINTS)), np.empty(POINTS), np.empty((q, POINTS))
        moduli, growth = np.empty((q * q, POINTS)), np.empty((2, POINTS))
        energy, first = np.empty(POINTS), np.empty((q, POINTS))
        second, stress = np.empty((q, q, POINTS)), np.empty((m, POINTS))
        pushed = np.empty((m, m, POINTS))
        stiffness = form.stiffness.reshape(len(form.stiffness), q * q)
        work = scratch(net, q)
        for block in range(0, n, POINTS):
            points = min(POINTS, n - block)
            for p in range(POINTS):
                row = min(block + p, n - 1)  # a last block is filled up with its last point
                for c in range(m):
                    columns[c, p] = strain[row, c]
                    h[c, p] = strain[row, c] - rest[c]
                for c in range(count):
                    z[c, p] = parameters[row, c]
            components(form, h, e)
            if count or block == 0:  # N and ∂N/∂x at rest
                mix(z, stiffness, moduli)
                mix(z, form.growth, growth)
                work.active[:q] = 0.0
                copy(z, work.active[q:])
                perceptron(net, work)
                for p in range(POINTS):
                    value0[p] = work.value[p]
                copy(work.adjoints[:q], gradient0)
            copy(e, work.active)
            perceptron(net, work)
            for p in range(POINTS):
                energy[p] = work.value[p] - value0[p]
            for k in range(q):
                for p in range(POINTS):
                    energy[p] -= gradient0[k, p] * e[k, p]
                    first[k, p] = work.adjoints[k, p] - gradient0[k, p]
            for k in range(q):
                for l in range(q):  # noqa: E741
                    for p in range(POINTS):
                        linear = moduli[k * q + l, p] * e[l, p]
                        energy[p] += 0.5 * e[k, p] * linear
                        first[k, p] += linear
            if tangent:
                hessian(net, work)
                row = 0
                for k in range(q):
                    for l in range(k, q):  # noqa: E741
                        for p in range(POINTS):
                            learned = -2.0 * work.upper[row, p]
                            second[k, l, p] = learned + moduli[k * q + l, p]
                            second[l, k, p] = learned + moduli[l * q + k, p]
                        row += 1
            if form.finite:
                add_growth(form, growth, e, energy, first, second, tangent)
                push_forward(form, columns, first, second, stress, pushed, tangent)
            else:
                copy(first, stress)
                if tangent:
                    for k in range(q):
                        copy(second[k], pushed[k])
            for p in range(points):
                energies[block + p] = energy[p]
                for r in range(m):
                    stresses[block + p, r] = stress[r, p]
                if tangent:
                    for r in range(m):
                        for c in range(m):
                            tangents[block + p, r, c] = pushed[r, c, p]
        return sources

    return evaluate


evaluate = build(stamp())
