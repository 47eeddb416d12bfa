"""What an accepted increment can teach: points that fell back, and a few that did not."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from mpi4py import MPI

from fesurrogate.combine import Guarded
from fesurrogate.data.dataset import Dataset
from fesurrogate.errors import MaterialError
from fesurrogate.kinematics import Array
from fesurrogate.learning.choice import collected, pick
from fesurrogate.learning.samples import ENERGY, inputs
from fesurrogate.material import Response
from fesurrogate.trust.measures import inputs_of

logger = logging.getLogger(__name__)
AGREES = 0.1
"""Of the tolerance: an answer that errs by less says that the model is good already."""


@dataclass(frozen=True)
class Found:
    """New samples, alike on all ranks, and what they cost.

    Attributes:
        arrays: ``strain``, ``stress``, ``tangent``, ``parameters`` and ``energy`` of the samples,
            those that fell back first.
        fallen: Points that had fallen back, all ranks.
        checked: Points that had not, and were asked about.
        wrong: Of these, that erred by more than the tolerance.
        telling: Samples that fell back, or erred by more than a tenth of the tolerance.
        rve_solves: What it took.
        doubts: {measure: (K,)}, of the points checked.
        errors: (K,), |Δstress| of these.
    """

    arrays: Mapping[str, Any]
    fallen: int
    checked: int
    wrong: int
    telling: int
    rve_solves: int
    doubts: Mapping[str, Array]
    errors: Array


def seek(
    guarded: Guarded,
    strain: Array,  # (n, m)
    response: Response,
    parameters: Array,  # (n, p)
    samples: Dataset,
    *,
    scale: float | None,
    fallen: int,
    checks: int,
    comm: MPI.Intracomm,
) -> Found:
    """Choose what is to be learned, and ask the reference what it has not said yet. Collective.

    Args:
        guarded: Whose increment was accepted.
        strain: Of the points of this rank.
        response: Of the guard.
        parameters: Of the points.
        samples: Those that there are.
        scale: The stress that errors are relative to; None where it is not known.
        fallen: Points that fell back and become samples, at most.
        checks: Points that the surrogate answered, and that are asked about, at most.
        comm: All ranks.
    """
    report, places = response.report, inputs_of(guarded.kinematics, strain, parameters)
    away = np.flatnonzero((report["fallback"] == 1) & response.ok)
    served = np.flatnonzero(report["reason"] == 0)
    known = inputs(samples)
    new = pick(comm, places[away], known, fallen)
    asked = pick(comm, places[served], np.concatenate([known, new.inputs]), checks)
    rows = away[new.rows]
    knows = response.tangent is not None
    arrays = {"strain": strain[rows], "parameters": parameters[rows]}
    if knows:
        assert response.tangent is not None
        energy = report.get(ENERGY, np.full(len(strain), np.nan))
        arrays |= {
            "stress": response.stress[rows], "tangent": response.tangent[rows],
            "energy": energy[rows], "ok": np.ones(len(rows), dtype=bool),
        }  # fmt: skip
    solves = 0
    if not comm.allreduce(knows, op=MPI.LAND):
        arrays, solves = _answers(guarded, strain, response, parameters, rows)
    few = served[asked.rows]
    checked, more = _answers(guarded, strain, response, parameters, few)
    error = np.linalg.norm(checked["stress"] - response.stress[few], axis=1)
    measures = guarded.trust.names if checks else ()
    said = {name: report[f"doubt_{name}"][few] for name in measures}
    told = collected(comm, asked, {"error": error, **said})
    erred = np.array([0, len(error)])  # all tell something of a surrogate that came from elsewhere
    if scale is not None:
        limit = guarded.trust.tolerance * scale
        erred = np.array([(error > limit).sum(), (error > AGREES * limit).sum()])
    wrong, telling = comm.allreduce(erred)
    parts = [collected(comm, new, arrays), collected(comm, asked, checked)]
    ok = np.concatenate([part["ok"] for part in parts])
    names = [name for name in parts[0] if name != "ok"]
    return Found(
        {name: np.concatenate([part[name] for part in parts])[ok] for name in names},
        int(comm.allreduce(len(away))),
        len(asked.inputs),
        int(wrong),
        len(new.inputs) + int(telling),
        int(comm.allreduce(solves + more)),
        {name: told[name][parts[1]["ok"]] for name in measures},
        told["error"][parts[1]["ok"]],
    )


def _answers(
    guarded: Guarded,
    strain: Array,  # (n, m)
    response: Response,
    parameters: Array,  # (n, p)
    rows: Any,  # (k,)
) -> tuple[dict[str, Any], int]:
    """Return what the reference answers to some points, and its solves. Collective.

    A reference that raises has answered nothing; what one that communicates raises on one rank
    alone is raised here, too, as the others wait inside it.
    """
    k, m = len(rows), strain.shape[1]
    arrays = {
        "strain": strain[rows], "parameters": parameters[rows], "stress": np.full((k, m), np.nan),
        "tangent": np.full((k, m, m), np.nan), "energy": np.full(k, np.nan),
        "ok": np.zeros(k, dtype=bool),
    }  # fmt: skip
    try:
        answer = guarded.ask_reference(
            strain[rows], response.state[rows], 1.0,
            parameters=parameters[rows], hint=response.hint[rows], tangent=True,
        )  # fmt: skip
    except Exception as error:
        if guarded.reference.collective and not isinstance(error, MaterialError):
            raise
        logger.warning("learning: the reference raised %s; nothing is learned of it", error)
        return arrays, 0
    arrays |= {"stress": answer.stress, "tangent": answer.tangent, "ok": answer.ok}
    if ENERGY in answer.report:
        arrays[ENERGY] = answer.report[ENERGY]
    return arrays, int(answer.report.get("rve_solves", np.zeros(0, dtype=np.int64)).sum())
