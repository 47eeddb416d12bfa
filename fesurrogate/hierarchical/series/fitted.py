"""Series of what is fitted to all entries at once: polynomials, energies, radial functions."""

from __future__ import annotations

from collections.abc import Iterator

from fesurrogate.chebyshev import term_count
from fesurrogate.hierarchical.representations import Polynomial, Radial
from fesurrogate.hierarchical.series.judge import Candidate, Judge
from fesurrogate.hierarchical.tabulation import written

HIGHEST = 8
"""Largest degree of a polynomial."""
NETWORKS = ((4,), (8,), (16,), (16, 16))
"""Layers of the networks that are tried."""


def networks(judge: Judge) -> Iterator[Candidate]:
    """Give networks of the energy."""
    from fesurrogate.hierarchical.energy_fit import energy_network

    for hidden in NETWORKS:
        found = energy_network(judge.table, judge.points, judge.entries, hidden)
        detail = f"energy, layers of {' and '.join(map(str, hidden))}"
        yield judge.measured("network", detail, judge.kept(found, "plain"))


def polynomials(judge: Judge) -> Iterator[Candidate]:
    """Give polynomials of all axes; of the stress over strain those of an energy."""
    if judge.name == "stress":
        from fesurrogate.hierarchical.energy_fit import energy_polynomials

        for degree, model in energy_polynomials(
            judge.table, judge.points, judge.entries, range(2, HIGHEST + 1)
        ):
            yield judge.measured(
                "polynomial", f"energy of degree {degree}", judge.kept(model, "plain")
            )
        return
    numbers, form = written(judge.name, judge.entries, judge.table.kinematics, mean=False)
    for degree in range(1, HIGHEST + 1):
        if term_count(len(judge.table.axes), degree) > len(judge.points):
            return
        found = Polynomial.fitted(judge.table.axes, judge.points, numbers, degree)
        yield judge.measured("polynomial", f"degree {degree}", judge.kept(found, form))


def radial(judge: Judge) -> Iterator[Candidate]:
    """Give the interpolant through all samples by radial functions."""
    numbers, form = written(judge.name, judge.entries, judge.table.kinematics, mean=False)
    found = Radial.through(judge.table.axes, judge.points, numbers)
    yield judge.measured("radial_basis", f"{len(judge.points)} points", judge.kept(found, form))
