"""Polynomials in the strain components, with exact first and second derivatives.

Invariants are written once, as they stand in books, in an algebra of polynomials; derivatives
follow term by term, so that none has to be derived by hand for each material symmetry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

Exponents = tuple[int, ...]  # one a variable


@dataclass(frozen=True)
class Polynomial:
    """A sum of monomials: coefficient by exponents of the variables."""

    terms: Mapping[Exponents, float]

    @staticmethod
    def variable(k: int, count: int, factor: float = 1.0) -> Polynomial:
        """Return ``factor`` times the k-th of ``count`` variables."""
        return Polynomial({tuple(int(i == k) for i in range(count)): factor})

    @staticmethod
    def constant(value: float, count: int) -> Polynomial:
        """Return a constant of ``count`` variables."""
        return Polynomial({(0,) * count: value})

    def __add__(self, other: Polynomial) -> Polynomial:
        terms = dict(self.terms)
        for exponents, factor in other.terms.items():
            terms[exponents] = terms.get(exponents, 0.0) + factor
        return Polynomial({e: f for e, f in terms.items() if f != 0.0})

    def __mul__(self, other: Polynomial | float) -> Polynomial:
        if not isinstance(other, Polynomial):
            return Polynomial({e: f * other for e, f in self.terms.items() if other != 0.0})
        result = Polynomial({})
        for left, factor in self.terms.items():
            shifted = {
                tuple(a + b for a, b in zip(left, right, strict=True)): factor * other_factor
                for right, other_factor in other.terms.items()
            }
            result = result + Polynomial(shifted)
        return result

    __rmul__ = __mul__

    def __sub__(self, other: Polynomial) -> Polynomial:
        return self + other * -1.0

    def derivative(self, k: int) -> Polynomial:
        """Return the derivative by the k-th variable."""
        return Polynomial(
            {
                (*e[:k], e[k] - 1, *e[k + 1 :]): e[k] * factor
                for e, factor in self.terms.items()
                if e[k]
            }
        )


def total(parts: Sequence[Polynomial]) -> Polynomial:
    """Return the sum of polynomials."""
    result = Polynomial({})
    for part in parts:
        result = result + part
    return result


@final
class PolynomialMap(nn.Module):
    """k polynomials of q variables at many points: values, gradients and Hessians.

    All of them are linear in the monomials that occur, which are products of one another: one
    product of rows a degree, and one product of matrices.

    Args:
        polynomials: All of the same q variables.
        count: q.
    """

    def __init__(self, polynomials: Sequence[Polynomial], count: int) -> None:
        super().__init__()
        self.count, self.outputs = count, len(polynomials)
        first = [p.derivative(i) for p in polynomials for i in range(count)]
        second = [p.derivative(i) for p in first for i in range(count)]
        everything = [*polynomials, *first, *second]
        found = {exponents for p in everything for exponents in p.terms} | {(0,) * count}
        for exponents in list(found):
            while sum(exponents):  # what it is a product of
                exponents, _ = _factored(exponents)
                found.add(exponents)
        order = sorted(found, key=lambda e: (sum(e), e))
        place = {exponents: k for k, exponents in enumerate(order)}
        self.steps: list[tuple[list[int], list[int]]] = []  # a degree: (factor, variable)
        for degree in range(1, sum(order[-1]) + 1):
            pairs = [_factored(e) for e in order if sum(e) == degree]
            self.steps.append(([place[e] for e, _ in pairs], [k for _, k in pairs]))
        for name, of in (("values", polynomials), ("first", first), ("second", second)):
            matrix = torch.zeros(len(of), len(order), dtype=torch.float64)
            for row, polynomial in enumerate(of):
                for exponents, factor in polynomial.terms.items():
                    matrix[row, place[exponents]] = factor
            self.register_buffer(name, matrix, persistent=False)

    def forward(
        self,
        e: Tensor,  # (q, n)
        *,
        second: bool = True,
    ) -> tuple[Tensor, Tensor, Tensor | None]:  # (k, n), (k, q, n), (k, q, q, n)
        """Return values, gradients and (if asked for) Hessians."""
        monomials = torch.ones_like(e[:1])
        for factor, variable in self.steps:
            monomials = torch.cat([monomials, monomials[factor] * e[variable]])
        k, q = self.outputs, self.count
        return (
            self.values @ monomials,
            (self.first @ monomials).reshape(k, q, -1),
            (self.second @ monomials).reshape(k, q, q, -1) if second else None,
        )


def _factored(exponents: Exponents) -> tuple[Exponents, int]:
    """Return (rest, k): the monomial is the rest times the k-th variable."""
    k = next(k for k, power in enumerate(exponents) if power)
    return (*exponents[:k], exponents[k] - 1, *exponents[k + 1 :]), k
