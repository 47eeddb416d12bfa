"""A quantity of a table by other means: each in a series of sizes, from few numbers to many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import numpy as np

from fesurrogate.chebyshev import term_count
from fesurrogate.errors import InputError
from fesurrogate.hierarchical.axes import Axis
from fesurrogate.hierarchical.representations import (
    Decoded,
    Gridded,
    Modes,
    Polynomial,
    Radial,
    Representation,
    Train,
    decomposed,
)
from fesurrogate.hierarchical.representations.forms import Form, decode
from fesurrogate.hierarchical.representations.gridded import DEGREES
from fesurrogate.hierarchical.strains import QUANTITIES as OVER_STRAIN
from fesurrogate.hierarchical.strains import strain_columns, torch_for
from fesurrogate.hierarchical.tabulation import Kept, Tabulation, misfits, written
from fesurrogate.hierarchical.tensor_train import pruned
from fesurrogate.kinematics import Array

HIGHEST = 8
"""Largest degree of a polynomial."""
MOST_MODES = 6
HIDDEN = 6
"""Width of the hidden layers of an autoencoder."""
NETWORKS = ((4,), (8,), (16,), (16, 16))
"""Layers of the networks that are tried."""
FINEST = 1e-4
"""Error below which no series goes on."""
TRAINED = ("autoencoder", "network")
"""Series that are trained step by step: only where they are asked for."""


@dataclass(frozen=True)
class Candidate:
    """A quantity in another representation, and how far it is from the table.

    Attributes:
        name: Of the representation, as the user says it.
        detail: Its size, in words.
        kept: The quantity.
        entries: Largest error at the entries, as :func:`~.tabulation.misfits` measures it.
        held_out: Largest error at the held-out points; that of the entries where there are none.
        mean_square: Root of the mean square of the same.
    """

    name: str
    detail: str
    kept: Kept
    entries: float
    held_out: float
    mean_square: float

    @property
    def numbers(self) -> int:
        """Numbers that are stored."""
        return self.kept.representation.numbers


@final
class Candidates:
    """Representations of one quantity of a table, each measured at entries and held-out points.

    Args:
        table: On a grid or scattered.
        name: Of the quantity.
    """

    def __init__(self, table: Tabulation, name: str) -> None:
        self.table, self.name = table, name
        self.points, self._entries = table.computed(name)
        if not len(self.points):
            raise InputError(f"no entry of {name} could be computed; expected some: move the axes")

    @property
    def series(self) -> dict[str, Callable[[], Iterator[Candidate]]]:
        """Return those that the table allows, by name."""
        if self.table.samples is not None:
            return {"radial_basis": self.radial, "polynomial": self.polynomials}
        if not self.table.ok.all():
            return {"tensor_train": self.trains}
        found: dict[str, Callable[[], Iterator[Candidate]]] = {
            "multilinear": lambda: self.grids("multilinear"),
            "spline": lambda: iter(self.splines),
            "tensor_train": self.trains,
            "spline_train": self.spline_trains,
            "polynomial": self.polynomials,
        }
        if self._columns[0]:
            found["pod"] = self.modes
            if len(self._entries[0].reshape(-1)) > 1:
                found["autoencoder"] = self.autoencoders
        if self.name == "stress":
            found["network"] = self.networks
        return found

    def measured(self, name: str, detail: str, kept: Kept) -> Candidate:
        """Return a representation with its errors, at the entries and held out."""
        found = kept.evaluate(self.points)[0]
        at_entries = float(misfits(self.name, found, self._entries).max())
        return replace(self.judged(name, detail, kept), entries=at_entries)

    def judged(self, name: str, detail: str, kept: Kept) -> Candidate:
        """Return a representation with its errors held out alone, where there are such points."""
        points, exact = self._judges
        off = misfits(self.name, kept.evaluate(points)[0], exact)
        largest = float(off.max())
        return Candidate(name, detail, kept, largest, largest, float(np.sqrt((off**2).mean())))

    @cached_property
    def _judges(self) -> tuple[Array, Array]:  # (N, p), (N, ...)
        """Return the held-out points and the quantity there; the entries where there are none."""
        held = self.table.held_out
        if held is not None:
            rows = held.ok & self.table.known(held.points)
            if rows.any():
                return held.points[rows], held.quantities[self.name][rows]
        return self.points, self._entries

    def kept(self, representation: Representation, form: Form) -> Kept:
        """Return the quantity in a representation."""
        return Kept(representation, form, self.table.trailing(self.name))

    @cached_property
    def _smooth(self) -> Kept:
        return self.table.splined(self.name)

    @cached_property
    def _columns(self) -> tuple[list[int], list[int]]:
        """Return the positions of the axes of parameters, and of those of strain."""
        inner = strain_columns(self.table.kinematics, self.table.axes)
        return [k for k in range(len(self.table.axes)) if k not in inner], sorted(inner)

    def refilled(self, counts: tuple[int, ...]) -> tuple[list[Axis], Array]:  # p, (N, ...)
        """Return evenly spaced axes with so many values, and entries from splines of the table."""
        axes = [
            Axis(axis.name, np.linspace(axis.values[0], axis.values[-1], count), axis.unit)
            for axis, count in zip(self.table.axes, counts, strict=True)
        ]
        numbers = _gridded(self._smooth).on_grid(axes)
        entries = np.empty((len(numbers), 1, *self._smooth.shape))
        decode(self._smooth.form, numbers[:, None], entries)
        return axes, entries[:, 0]

    @cached_property
    def splines(self) -> list[Candidate]:
        """Return those of :meth:`grids` that are smooth, which others are made of."""
        return list(self.grids("spline"))

    def grids(self, label: str) -> Iterator[Candidate]:
        """Give interpolants on coarser grids; at each step the axis is refined that pays most.

        They end where refining no longer helps: at what the table itself, or the noise of its
        meshes, is off.
        """
        degree = DEGREES[label]
        most = self.table.shape
        start = tuple(min(degree + 1, count) for count in most)

        def made(counts: tuple[int, ...]) -> Candidate:
            axes, entries = self.refilled(counts)
            numbers, form = written(self.name, entries, self.table.kinematics, mean=degree == 1)
            table = Gridded.through(axes, numbers.reshape(*counts, -1), degree)
            return self.judged(label, " x ".join(map(str, counts)), self.kept(table, form))

        counts, now = start, made(start)
        errors = [now.mean_square]
        yield self.measured(label, now.detail, now.kept)
        while now.held_out > FINEST and _falls(errors, 2 * len(counts)):
            further = [
                (made(finer), finer)
                for k in range(len(counts))
                if counts[k] < most[k]
                for finer in [(*counts[:k], counts[k] + 1, *counts[k + 1 :])]
            ]
            if not further:
                return
            current = now

            def gain(one: tuple[Candidate, tuple[int, ...]], now: Candidate = current) -> float:
                cost = np.log(one[0].numbers / now.numbers)
                return float(np.log(now.mean_square / max(one[0].mean_square, 1e-300)) / cost)

            now, counts = max(further, key=gain)
            errors.append(now.mean_square)
            yield self.measured(label, now.detail, now.kept)

    def trains(self) -> Iterator[Candidate]:
        """Give tensor trains of the whole table, multilinear between its entries."""
        table, shape = self.table, self.table.shape
        numbers, form = written(self.name, self._entries, table.kinematics, mean=True)
        mean = numbers.mean(axis=0)
        whole = np.tile(mean, (table.ok.size, 1))
        whole[table.ok.reshape(-1)] = numbers  # and the mean where there is no entry
        array = whole.reshape(*shape, -1)
        size = self._scale(array)
        for tolerance in 10.0 ** -np.arange(0.5, 4.1, 0.25):
            cores = pruned(array, tolerance, size)
            kept = self.kept(Train(table.axes, cores, 1), form)
            yield self.measured("tensor_train", _ranks(cores), kept)

    def spline_trains(self) -> Iterator[Candidate]:
        """Give tensor trains of the coefficients of splines on coarser grids."""
        for spline in self.splines:
            table = _gridded(spline.kept)
            array, limit = table.coefficients, max(spline.held_out, FINEST)
            cores = pruned(array, 0.5 * limit, self._scale(array))
            kept = self.kept(Train(table.axes, cores, table.degree), spline.kept.form)
            yield self.measured("spline_train", f"{spline.detail}, {_ranks(cores)}", kept)

    def modes(self) -> Iterator[Candidate]:
        """Give the modes of strain, or of the entries, with splines of their coefficients."""
        for spline in self.splines:
            axes, array, form = self._snapshots(spline)
            outer = self._columns[0]
            for rank in range(1, MOST_MODES + 1):
                own, modes = decomposed(axes, array, rank, outer=outer)
                found = Modes(
                    Gridded.through([axes[k] for k in outer], own, 3), modes, self._columns
                )
                detail = f"{spline.detail}, {rank} mode{'s' * (rank > 1)}"
                one = self.measured("pod", detail, self.kept(found, form))
                yield one
                if one.held_out < 1.2 * spline.held_out:
                    break

    def autoencoders(self) -> Iterator[Candidate]:
        """Give decoders of snapshots with splines of their latents, fewer than there are modes."""
        with torch_for("an autoencoder"):
            from fesurrogate.train.autoencoder import fit_autoencoder

        for spline in self.splines[::4]:
            axes, array, form = self._snapshots(spline)
            outer = self._columns[0]
            near = [axes[k] for k in outer]
            own, modes = decomposed(axes, array, MOST_MODES, outer=outer)
            rows = own.reshape(-1, own.shape[-1])
            for latents in range(1, min(3, *rows.shape)):
                fitted = fit_autoencoder(rows, latents, HIDDEN)
                z = fitted.latents.reshape(*own.shape[:-1], latents)
                decoder = Decoded(Gridded.through(near, z, 3), fitted.arrays)
                detail = f"{spline.detail}, {latents} latent{'s' * (latents > 1)}"
                found = Modes(decoder, modes, self._columns)
                yield self.measured("autoencoder", detail, self.kept(found, form))

    def _snapshots(self, spline: Candidate) -> tuple[list[Axis], Array, Form]:
        """Return axes of the counts of a spline, entries as numbers, and their form."""
        counts = _gridded(spline.kept).coefficients.shape[:-1]
        axes, entries = self.refilled(counts)
        numbers, form = written(self.name, entries, self.table.kinematics, mean=False)
        return axes, numbers.reshape(*counts, -1), form

    def networks(self) -> Iterator[Candidate]:
        """Give networks of the energy."""
        from fesurrogate.hierarchical.energy_fit import energy_network

        for hidden in NETWORKS:
            found = energy_network(self.table, self.points, self._entries, hidden)
            detail = f"energy, layers of {' and '.join(map(str, hidden))}"
            yield self.measured("network", detail, self.kept(found, "plain"))

    def polynomials(self) -> Iterator[Candidate]:
        """Give polynomials of all axes; of the stress over strain those of an energy."""
        if self.name == "stress":
            from fesurrogate.hierarchical.energy_fit import energy_polynomials

            for degree, model in energy_polynomials(
                self.table, self.points, self._entries, range(2, HIGHEST + 1)
            ):
                yield self.measured(
                    "polynomial", f"energy of degree {degree}", self.kept(model, "plain")
                )
            return
        numbers, form = written(self.name, self._entries, self.table.kinematics, mean=False)
        for degree in range(1, HIGHEST + 1):
            if term_count(len(self.table.axes), degree) > len(self.points):
                return
            found = Polynomial.fitted(self.table.axes, self.points, numbers, degree)
            yield self.measured("polynomial", f"degree {degree}", self.kept(found, form))

    def radial(self) -> Iterator[Candidate]:
        """Give the interpolant through all samples by radial functions."""
        numbers, form = written(self.name, self._entries, self.table.kinematics, mean=False)
        found = Radial.through(self.table.axes, self.points, numbers)
        yield self.measured("radial_basis", f"{len(self.points)} points", self.kept(found, form))

    def _scale(self, array: Array) -> float | None:
        """Return what errors of entries are relative to; None: to themselves."""
        if self.name not in OVER_STRAIN:
            return None
        return float(np.sqrt((array**2).sum(axis=-1).mean()))


def _gridded(kept: Kept) -> Gridded:
    """Return the grid of splines."""
    assert isinstance(kept.representation, Gridded)
    return kept.representation


def _ranks(cores: Sequence[Array]) -> str:
    return f"ranks {', '.join(str(core.shape[2]) for core in cores[:-1])}"


def _falls(errors: list[float], steps: int) -> bool:
    """Return whether an error has fallen by a tenth in so many steps."""
    return len(errors) <= steps or errors[-1] < 0.9 * errors[-1 - steps]
