"""All monomials up to a degree, and the derivatives of their sums, by tables of indices.

A derivative of a monomial is a multiple of another one. So the derivatives of Σ_k c_k m_k are rows
of coefficients of the same monomials: one product of matrices for all points.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement
from typing import final

import torch
from torch import Tensor, nn

Exponents = tuple[int, ...]  # one a variable


@final
class Monomials(nn.Module):
    """Monomials of x and z, and the terms among them that are at least quadratic in x.

    Such a term and its gradient by x vanish at x = 0. Monomials are ordered by their degree in x
    and z together, so that those of a lower degree come first.

    Args:
        inputs: q, length of x.
        parameters: p, length of z.
        degree: The largest in x and z together.

    Attributes:
        degrees: Of each of the t terms.
    """

    def __init__(self, inputs: int, parameters: int, degree: int) -> None:
        super().__init__()
        self.inputs, self.others, variables = inputs, parameters, inputs + parameters
        order = [
            tuple(chosen.count(k) for k in range(variables))
            for power in range(degree + 1)
            for chosen in combinations_with_replacement(range(variables), power)
        ]
        self._place = {exponents: k for k, exponents in enumerate(order)}
        self._terms = [e for e in order if sum(e[:inputs]) >= 2]
        self.degrees = [sum(e) for e in self._terms]
        self.count = len(order)  # M
        self.steps: list[tuple[list[int], list[int]]] = []  # a degree: (monomial below, variable)
        below: dict[Exponents, int] = {order[0]: 0}
        for power in range(1, degree + 1):
            block = [e for e in order if sum(e) == power]
            first = [next(k for k, exponent in enumerate(e) if exponent) for e in block]
            rests = [_lowered(e, k) for e, k in zip(block, first, strict=True)]
            self.steps.append(([below[rest] for rest in rests], first))
            below = {e: k for k, e in enumerate(block)}
        rows, columns = torch.triu_indices(inputs, inputs).tolist()
        self._table("value", [()])
        self._table("first", [(i,) for i in range(inputs)])
        self._table("second", list(zip(rows, columns, strict=True)))
        mixed = [(i, inputs + j) for i in range(inputs) for j in range(parameters)]
        self._table("mixed", mixed)

    def _table(self, name: str, derivatives: Sequence[tuple[int, ...]]) -> None:
        """Store where the coefficient of each term goes, row by row: to what and times what."""
        found: list[tuple[int, int, float, int]] = []  # row, monomial, factor, term
        for row, variables in enumerate(derivatives):
            for term, exponents in enumerate(self._terms):
                factor, rest = 1.0, exponents
                for k in variables:
                    factor, rest = factor * rest[k], _lowered(rest, k)
                if factor:
                    found.append((row, self._place[rest], factor, term))
        index = torch.tensor([(row, monomial, term) for row, monomial, _, term in found])
        self.register_buffer(f"{name}_index", index.long().reshape(-1, 3).T, persistent=False)
        factors = torch.tensor([factor for _, _, factor, _ in found], dtype=torch.float64)
        self.register_buffer(f"{name}_factor", factors, persistent=False)

    def forward(
        self,
        v: Tensor,  # (q + p, n)
    ) -> Tensor:  # (M, n)
        """Return all monomials."""
        block = torch.ones_like(v[:1])
        blocks = [block]
        for below, variable in self.steps:
            block = block[below] * v[variable]
            blocks.append(block)
        return torch.cat(blocks)

    def derivative(
        self,
        name: str,
        coefficients: Tensor,  # (t,)
    ) -> Tensor:  # (r, M)
        """Return the coefficients of derivatives of the sum: ``value``, ``first``, ...

        Rows of ``second`` are the upper triangle, row by row; those of ``mixed`` are ∂²/∂x_i ∂z_j.
        """
        row, monomial, term = self.get_buffer(f"{name}_index")
        factor = self.get_buffer(f"{name}_factor")
        flat = coefficients.new_zeros(self._rows(name) * self.count)
        flat = flat.index_add(0, row * self.count + monomial, factor * coefficients[term])
        return flat.reshape(self._rows(name), self.count)

    def columns(
        self,
        name: str,
        monomials: Tensor,  # (M, n)
    ) -> Tensor:  # (t, r, n)
        """Return the derivatives of every term: what the coefficients are multiplied with."""
        row, monomial, term = self.get_buffer(f"{name}_index")
        factor = self.get_buffer(f"{name}_factor")
        found = monomials.new_zeros(len(self._terms), self._rows(name), monomials.shape[1])
        found[term, row] = factor[:, None] * monomials[monomial]
        return found

    def _rows(self, name: str) -> int:
        q, p = self.inputs, self.others
        return {"value": 1, "first": q, "second": q * (q + 1) // 2, "mixed": q * p}[name]


def full(
    upper: Tensor,  # (..., q (q + 1) / 2, n)
    inputs: int,  # q
) -> Tensor:  # (..., q, q, n)
    """Return symmetric matrices from their upper triangles, row by row."""
    rows, columns = torch.triu_indices(inputs, inputs)
    place = torch.zeros(inputs, inputs, dtype=torch.long, device=upper.device)
    place[rows, columns] = place[columns, rows] = torch.arange(len(rows), device=upper.device)
    found = upper[..., place.reshape(-1), :]
    return found.reshape(*upper.shape[:-2], inputs, inputs, upper.shape[-1])


def _lowered(exponents: Exponents, k: int) -> Exponents:
    """Return the exponents with one factor of variable k less."""
    return (*exponents[:k], exponents[k] - 1, *exponents[k + 1 :])
