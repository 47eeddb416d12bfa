"""A Material at the quadrature points of a mesh, ready for any UFL form."""

from __future__ import annotations

import logging
import time
from typing import Any, final

import basix
import basix.ufl
import numpy as np
import ufl
from dolfinx import fem
from mpi4py import MPI
from numpy.typing import NDArray

from fesurrogate.errors import InputError, MaterialError
from fesurrogate.fem.compat import evaluate_expression
from fesurrogate.fem.failure import Failure, first_line, raising_rows
from fesurrogate.fem.strain import variation
from fesurrogate.fem.tally import Tally
from fesurrogate.kinematics import Array, BoolArray
from fesurrogate.material import Material, Response

logger = logging.getLogger(__name__)
PATIENCE = 4  # failed updates in a row after which the Material is spared until the step is cut


@final
class MaterialField:
    """Carries a Material into a form: strain out of the form, stress and tangent into it.

    The weak form is ``residual(v) = ∫ σ · δε(v) dx`` and its derivative
    ``jacobian(du, v) = ∫ δε(v) · A δε(du) + σ · δ²ε(v, du) dx``, where δε is the Gateaux derivative
    of the strain expression, so that any differentiable strain of any field may be given.

    Args:
        material: What turns strain into stress.
        strain: UFL vector (m,) in the components of ``material.kinematics``
            (:func:`fesurrogate.fem.strain_of`).
        degree: Quadrature degree.
        cells: Local cells of the region, ghosts allowed; all cells if None.
        parameters: UFL vector (p,) of the Material's parameters; needed where it has any.

    Raises:
        InputError: The strain or the parameters have the wrong number of components.

    Note:
        Only owned cells are evaluated. ``update``, ``accept`` and ``restore`` are collective.
        Between increments a point has one state and one hint; while it is evaluated two states,
        the accepted and the new, and three hints, with the last besides.
    """

    def __init__(
        self,
        material: Material,
        strain: Any,
        *,
        degree: int,
        cells: NDArray[np.int32] | None = None,
        parameters: Any | None = None,
    ) -> None:
        m = material.kinematics.size
        if strain.ufl_shape != (m,):
            raise InputError(
                f"the strain expression has shape {strain.ufl_shape}; {material.kinematics} needs "
                f"({m},): build it with fesurrogate.fem.strain_of(u, kinematics)"
            )
        p = len(material.parameter_names)
        shape = () if parameters is None else parameters.ufl_shape
        if (p > 0 or parameters is not None) and shape != (p,):
            raise InputError(
                f"parameters have shape {shape}; {type(material).__name__} needs ({p},): "
                f"{', '.join(material.parameter_names) or 'none'}"
            )
        self.material, self.strain = material, strain
        self.mesh = self._mesh_of(strain)
        topology = self.mesh.topology
        owned = topology.index_map(topology.dim).size_local
        everywhere = cells is None
        cells = np.arange(owned) if cells is None else np.asarray(cells)
        self.cells = np.sort(cells[cells < owned]).astype(np.int32)

        cell_name = self.mesh.basix_cell()
        points, weights = basix.make_quadrature(cell_name, degree)
        self.num_points = len(self.cells) * len(weights)  # n
        self._expression = fem.Expression(strain, points)
        self._parameters = None if parameters is None else fem.Expression(parameters, points)

        def quadrature_function(*value_shape: int) -> fem.Function:
            element = basix.ufl.quadrature_element(cell_name, value_shape, degree=degree)
            return fem.Function(fem.functionspace(self.mesh, element))

        self.stress = quadrature_function(m)
        self.tangent = quadrature_function(m, m)
        rows = self.stress.function_space.dofmap.list[self.cells].ravel()
        together = np.array_equal(rows, np.arange(len(rows)))
        self._rows = slice(len(rows)) if together else rows
        self.metadata = {"quadrature_degree": degree, "quadrature_scheme": "default"}
        dx = ufl.Measure("dx", domain=self.mesh)
        if not everywhere:
            dx = ufl.Measure("dx", domain=self.mesh, subdomain_data=[(1, self.cells)])(1)
        self.dx = dx(metadata=self.metadata)
        self.state = material.initial_state(self.num_points)
        self.hint: Array = np.zeros((self.num_points, material.num_hint))
        self._accepted_hint = self.hint
        self.tally = Tally()
        self.response: Response | None = None
        self._last_strain: Array = np.full((self.num_points, m), np.nan)
        self._last_parameters: Array = np.zeros((self.num_points, p))
        self._last_dt = np.nan
        self._failures = 0
        self.failure: Failure | None = None  # the last one, until an update succeeds
        self._errors: set[str] = set()
        self._accepted_stress: Array = np.zeros((self.num_points, m))
        # what was accepted, and its strain and parameters, where it holds in the next increment too
        self._kept: tuple[Response, Array, Array] | None = None

    # -- forms ----------------------------------------------------------------------------

    def residual(
        self,
        v: Any,
        *,
        unknown: fem.Function | None = None,
        dx: ufl.Measure | None = None,
    ) -> Any:
        """Return the linear form of the stress, ∫ σ · δε(v) dx.

        Args:
            v: Test function of the unknown's space.
            unknown: What the strain is differentiated by; found by the space of ``v`` if None.
            dx: Measure of the field's cells, where it must share its subdomain data with other
                terms of one form; the field's own if None.

        Raises:
            InputError: The strain depends on no Function of the space of ``v``, or on several.
        """
        dx = self.dx if dx is None else dx(metadata=self.metadata)
        return ufl.inner(self.stress, self._variation(self.strain, v, unknown)) * dx

    def jacobian(
        self,
        du: Any,
        v: Any,
        *,
        unknown: fem.Function | None = None,
        dx: ufl.Measure | None = None,
    ) -> Any:
        """Return the bilinear form that is the consistent derivative of :meth:`residual`."""
        dx = self.dx if dx is None else dx(metadata=self.metadata)
        virtual = self._variation(self.strain, v, unknown)
        increment = self._variation(self.strain, du, unknown)
        material = ufl.inner(self.tangent * increment, virtual)
        second = self._variation(virtual, du, unknown)
        if isinstance(second, ufl.constantvalue.Zero):
            return material * dx
        return (material + ufl.inner(self.stress, second)) * dx

    def _variation(self, expression: Any, direction: Any, unknown: fem.Function | None) -> Any:
        if unknown is None:
            space = direction.ufl_function_space()
            coefficients = ufl.algorithms.extract_coefficients(self.strain)
            candidates = [c for c in coefficients if c.ufl_function_space() == space]
            if len(candidates) != 1:
                raise InputError(
                    f"the strain depends on {len(candidates)} Functions of the argument's space; "
                    "expected one: pass unknown="
                )
            unknown = candidates[0]
        return variation(expression, unknown, direction)

    @staticmethod
    def _mesh_of(strain: Any) -> Any:
        for coefficient in ufl.algorithms.extract_coefficients(strain):
            return coefficient.function_space.mesh
        raise InputError("the strain expression contains no Function")

    # -- evaluation -----------------------------------------------------------------------

    def current_strain(self) -> Array:  # (n, m)
        """Return the strain at this rank's points for the present value of the unknown."""
        size = self.material.kinematics.size
        return evaluate_expression(self._expression, self.mesh, self.cells, size)

    def update(self, dt: float = 1.0) -> int:
        """Evaluate the Material at the present strain; fill stress and tangent. Collective.

        No point is solved twice at the same strain: the Material is not called again where
        nothing has changed on any rank. Where it raises, its points have failed, and the traceback
        is logged.

        Args:
            dt: Length of the increment from the accepted state.

        Returns:
            Number of failed points on all ranks; if positive, the stress is NaN on every rank.
        """
        comm = self.mesh.comm
        strain = self.current_strain()
        parameters = self.current_parameters()
        known = (
            (dt == self._last_dt or self.material.num_state == 0 and not np.isnan(self._last_dt))
            and np.array_equal(strain, self._last_strain)
            and np.array_equal(parameters, self._last_parameters)
        )
        if comm.allreduce(known, op=MPI.LAND):
            return 0
        if self._failures >= PATIENCE:
            self._fill_with_nan()
            return comm.allreduce(self.num_points)
        self.response = None  # its memory serves the next
        begin = time.perf_counter()
        response, ok, error = self._attempt(strain, dt, parameters)
        self.tally.seconds += time.perf_counter() - begin
        self.tally.count(response, ok)
        failed = comm.allreduce(int((~ok).sum()) or int(response is None))
        if failed:
            rows = np.flatnonzero(~ok)
            report = {} if response is None else response.report
            fatal, untrusted = (
                int(report[key][rows].sum()) if key in report else 0
                for key in ("fatal", "untrusted")
            )
            self.failure = Failure(
                rows, strain[rows], self.state[rows], self.hint[rows], parameters[rows], dt,
                error, fatal, untrusted,
            )  # fmt: skip
            self._failures += 1
            self._fill_with_nan()
            return failed
        self._failures, self.failure = 0, None
        assert response is not None and response.tangent is not None
        self.response, self.hint = response, response.hint
        self._last_strain, self._last_dt, self._last_parameters = strain, dt, parameters
        self.fill_stress(response.stress)
        self._fill(self.tangent, response.tangent)
        return 0

    def _attempt(
        self,
        strain: Array,  # (n, m)
        dt: float,
        parameters: Array,  # (n, p)
    ) -> tuple[Response | None, BoolArray, str]:
        """Return the response, which points are solved, (n,), and what the Material raised.

        An exception is a failed point, so that the step is cut on all ranks; where the Material
        communicates, the other ranks wait inside it, and only the end of all is left.
        """

        def evaluate(rows: Any) -> Response:
            return self.material.evaluate(
                strain[rows], self.state[rows], dt, parameters=parameters[rows],
                hint=self.hint[rows],
            )  # fmt: skip

        try:
            response = evaluate(slice(None))
            tangent = response.tangent
            assert tangent is not None, "no tangent was answered"
            if np.isfinite(response.stress.sum() + tangent.sum()):
                return response, response.ok, ""
            finite = np.isfinite(response.stress).all(axis=1)
            finite &= np.isfinite(tangent).all(axis=(1, 2))
            return response, response.ok & finite, ""
        except MaterialError as raised:  # by all ranks
            return None, np.zeros(self.num_points, dtype=bool), self._said(raised)
        except Exception as raised:
            if self.material.collective:
                raise
            said = self._said(raised)
        return None, ~raising_rows(evaluate, self.num_points), said

    def _said(self, error: Exception) -> str:
        """Return an exception in one line; log its traceback the first time."""
        text = first_line(error)
        if text not in self._errors:
            self._errors.add(text)
            logger.error("a Material raised; its points have failed", exc_info=error)
        return text

    def sensitivity(self) -> Array:  # (n, m, p)
        """Return d stress / d parameters where the field was last updated. Collective."""
        response = self.material.evaluate(
            self._last_strain, self.state, self._last_dt, parameters=self._last_parameters,
            hint=self.hint, tangent=False, sensitivity=True,
        )  # fmt: skip
        assert response.sensitivity is not None
        return response.sensitivity

    def current_parameters(self) -> Array:  # (n, p)
        """Return the Material's parameters at this rank's points."""
        if self._parameters is None:
            return np.zeros((self.num_points, 0))
        size = len(self.material.parameter_names)
        return evaluate_expression(self._parameters, self.mesh, self.cells, size)

    def fill_stress(
        self,
        values: Array,  # (n, m)
    ) -> None:
        """Let the forms see another stress, until the next update that changes anything."""
        self._fill(self.stress, values)

    def _fill(self, function: fem.Function, values: Array) -> None:
        width = values[0].size if len(values) else 1
        function.x.array.reshape(-1, width)[self._rows] = values.reshape(-1, width)

    def _fill_with_nan(self) -> None:
        self.stress.x.array[:] = np.nan
        self._last_strain = np.full_like(self._last_strain, np.nan)

    def accept(self) -> None:
        """Take the last response as the state of the next increment. Collective."""
        assert self.response is not None, "accept() before any update()"
        self.state, self._accepted_hint = self.response.state, self.hint
        self._accepted_stress = self.response.stress
        self.material.accept(self._last_strain, self.response)
        self._kept = None
        if self.material.num_state or self.material.snapshot():
            self._last_dt = np.nan  # the same strain means another answer from now on
        else:
            self._kept = (self.response, self._last_strain, self._last_parameters)

    def use_consistent_tangent(self) -> bool:
        """Take the consistent tangent for the rest of the increment, from the next update on.

        Collective.

        Returns:
            Whether that changes anything.
        """
        changes = self.material.use_consistent_tangent()
        if changes:
            self._last_strain, self._kept = np.full_like(self._last_strain, np.nan), None
        return changes

    def start_increment(
        self,
        state: Array,  # (n, s)
    ) -> None:
        """Take a state as the accepted one, for points that take turns on one field."""
        self.state = state
        self._failures, self._last_dt = 0, np.nan
        self._last_strain = np.full_like(self._last_strain, np.nan)

    def restore(self) -> None:
        """Forget the failed increment: the next update starts from the accepted state."""
        self._failures, self.hint = 0, self._accepted_hint
        self.stress.x.array[:] = 0.0
        self.fill_stress(self._accepted_stress)
        self._last_strain = np.full_like(self._last_strain, np.nan)
        if self._kept is not None:
            self.response, self._last_strain, self._last_parameters = self._kept
            assert self.response.tangent is not None
            self._fill(self.tangent, self.response.tangent)

    def resume(
        self,
        state: Array,  # (n, s)
        hint: Array,  # (n, h)
        stress: Array,  # (n, m)
    ) -> None:
        """Take what another run had accepted, from a checkpoint, as accepted here."""
        self.start_increment(state)
        self._accepted_hint, self._accepted_stress, self._kept = hint, stress, None
        self.restore()

    @property
    def accepted(self) -> tuple[Array, Array, Array]:  # (n, s), (n, h), (n, m)
        """State, hint and stress of the last accepted increment, which :meth:`resume` takes."""
        return self.state, self._accepted_hint, self._accepted_stress
