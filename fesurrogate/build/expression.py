"""Formulas of a TOML, such as ``"0.3 + 0.3*x[1]/48"``, as UFL; nothing is executed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import ufl
from dolfinx import fem, mesh

from fesurrogate.errors import InputError

LONGEST = 1000  # characters of a formula
OPERATORS: dict[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Lt: ufl.lt,
    ast.LtE: ufl.le,
    ast.Gt: ufl.gt,
    ast.GtE: ufl.ge,
}
FUNCTIONS: dict[str, tuple[int, Callable]] = {
    "sin": (1, ufl.sin),
    "cos": (1, ufl.cos),
    "tan": (1, ufl.tan),
    "tanh": (1, ufl.tanh),
    "exp": (1, ufl.exp),
    "log": (1, ufl.ln),
    "sqrt": (1, ufl.sqrt),
    "abs": (1, abs),
    "atan2": (2, ufl.atan2),
    "min": (2, ufl.min_value),
    "max": (2, ufl.max_value),
}
KNOWN = (
    f"numbers, x[0], x[1], x[2], pi, + - * / **, comparisons in A if B else C, and "
    f"{', '.join(FUNCTIONS)}"
)


def formula(value: float | str, domain: mesh.Mesh) -> Any:
    """Return a number or a formula of the coordinates x as a UFL scalar.

    Raises:
        InputError: It is no formula, or holds what formulas do not know.
    """
    if not isinstance(value, str):
        return fem.Constant(domain, float(value))
    if len(value) > LONGEST:
        raise InputError(f"a formula of {len(value)} characters; expected at most {LONGEST}")
    try:
        tree = ast.parse(value.strip(), mode="eval").body
        answer = _translated(tree, ufl.SpatialCoordinate(domain), value)
    except InputError:
        raise
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{value!r} is no formula: {error}; it may hold {KNOWN}") from None
    except (ArithmeticError, TypeError) as error:
        raise InputError(f"{value!r} cannot be computed: {error}") from None
    if isinstance(answer, int | float):
        if not np.isfinite(answer):
            raise InputError(f"{value!r} is {answer}; expected a finite number")
        return fem.Constant(domain, float(answer))
    if not isinstance(answer, ufl.core.expr.Expr) or answer.ufl_shape != ():
        raise InputError(f"{value!r} is no number; expected a formula such as 0.3 + 0.1*x[0]")
    return answer


def _translated(node: ast.expr, x: Any, text: str) -> Any:
    def part(inner: ast.expr) -> Any:
        return _translated(inner, x, text)

    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id="pi"):
            return np.pi
        case ast.Subscript(value=ast.Name(id="x"), slice=ast.Constant(value=int() as axis)):
            if not 0 <= axis < len(x):
                raise InputError(f"{text!r}: x[{axis}] is not there; the mesh has x[0] to "
                                 f"x[{len(x) - 1}]")  # fmt: skip
            return x[axis]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return OPERATORS[type(op)](part(left), part(right))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in OPERATORS:
            return OPERATORS[type(op)](part(operand))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            count, function = FUNCTIONS[name]
            if len(arguments) == count:
                return function(*map(part, arguments))
            raise InputError(f"{text!r}: {name} takes {count} argument(s), not {len(arguments)}")
        case ast.IfExp(test=ast.Compare(left=left, ops=[op], comparators=[right])):
            if type(op) in OPERATORS:
                holds = OPERATORS[type(op)](part(left), part(right))
                return ufl.conditional(holds, part(node.body), part(node.orelse))
    raise InputError(f"{text!r}: {ast.unparse(node)!r} is not known; a formula may hold {KNOWN}")
