"""What a point of an energy network costs: compiled, by torch, and by automatic differentiation.

All in one process on one thread, taking turns, in seconds of the processor. Weights are random:
they change nothing in the speed.
"""

import copy
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.measure import medians, report
from benchmarks.rve import fibre_rve
from fesurrogate import Kinematics
from fesurrogate.data.sampling import stretches
from fesurrogate.surrogate import EnergyNetwork, NetworkMaterial
from fesurrogate.surrogate.growth import growth_terms
from fesurrogate.surrogate.objective import components

BARS = {"float64": (3.0, 0.3), "float32": (2.2, 0.4)}
BATCHES = (256, 1000, 16_384)
FIRST_CALL = """
import time
from benchmarks.speed import Kinematics, NetworkMaterial, untrained
material = NetworkMaterial(untrained(Kinematics(2, "finite"), (32, 32)))
begin = time.process_time()
material.evaluate(material.kinematics.rest[None])
print(time.process_time() - begin)
"""


def untrained(kinematics: Kinematics, hidden: tuple[int, ...]) -> EnergyNetwork:
    """Return a network of ordinary size."""
    network = EnergyNetwork(kinematics, hidden)
    network.scale.fill_(0.2)
    network.growth.fill_(0.5)
    network.energy_scale.fill_(0.1)
    return network.requires_grad_(False)


def plain_energy(
    network: EnergyNetwork,
    row: torch.Tensor,  # (m,)
) -> torch.Tensor:  # ()
    """Return the energy alone, as one writes it for automatic differentiation.

    With ``linear`` in place of ``weight @ x``: twice as fast under vmap.
    """
    linear = torch.nn.functional.linear
    kinematics, part = network.kinematics, network.perceptron
    e = components(kinematics, row[:, None])
    x = e[:, 0] / network.scale[:, 0]
    activation, at_rest, slope = x, torch.zeros_like(network.scale[:, 0]), x
    for weight, bias in zip(part.weights, part.biases, strict=True):
        activation = torch.tanh(linear(activation, weight, bias[:, 0]))
        at_rest = torch.tanh(weight @ at_rest + bias[:, 0])
        slope = (1.0 - at_rest**2) * linear(slope, weight)  # ∇N(0) · x, layer by layer
    learned = (part.output[0] * (activation - at_rest - slope)).sum()
    closed = 0.5 * (e[:, 0] * linear(e[:, 0], network.stiffness[0])).sum()
    growth = growth_terms(e, network.growth[0], kinematics.gdim, second=False)[0]
    return network.energy_scale * learned + closed + growth[0]


def automatic(network: EnergyNetwork, rows: torch.Tensor) -> dict[str, Callable[[], None]]:
    """Return gradients and Hessians of the plain energy, by differentiation and size of chunk."""
    func, energy = torch.func, partial(plain_energy, network)
    gradient = func.vmap(func.grad(energy))
    hessians = {"hessian": func.hessian(energy), "jacrev²": func.jacrev(func.jacrev(energy))}

    def run(hessian: Callable, chunk: int) -> None:
        for first in range(0, len(rows), chunk):
            gradient(rows[first : first + chunk])
            hessian(rows[first : first + chunk])

    return {
        f"{name}, chunks of {chunk}": partial(run, func.vmap(hessian), chunk)
        for name, hessian in hessians.items()
        for chunk in (500, 1000, 2000, 4000)
    }


def again(action: Callable[[], object], times: int) -> Callable[[], None]:
    """Return an action several times over, too long for the grain of the clock to matter."""

    def run() -> None:
        for _ in range(times):
            action()

    return run


def plane() -> float:
    """Print the figures of the network of a plane solid; return its µs for a point."""
    kinematics = Kinematics(2, "finite")
    network = untrained(kinematics, (32, 32))
    F = stretches(kinematics, max(BATCHES), 0.2, seed=5)[:, 0]
    few = F[:4000]
    actions: dict[str, Callable[[], object]] = {}
    for dtype in BARS:
        default = NetworkMaterial(network, dtype=dtype, threads=1)
        by_torch = NetworkMaterial(network, dtype=dtype, threads=1, backend="torch")
        for n in BATCHES:
            for by, material in (("", default), (" torch", by_torch)):
                action = partial(material.evaluate, F[:n])
                actions[f"{dtype} {n}{by}"] = again(action, max(BATCHES) // n)
        actions[f"{dtype} stress"] = partial(default.evaluate, F, tangent=False)
        kind = getattr(torch, dtype)
        rows, cast = torch.from_numpy(few).to(kind), copy.deepcopy(network).to(kind)
        for name, action in automatic(cast, rows).items():
            actions[f"{dtype} vmap {name}"] = action
    median = medians(actions, repeats=5, clock=time.process_time)
    each = {key: 1e6 * seconds / len(F) for key, seconds in median.items()}
    for dtype, (bar, ratio_bar) in BARS.items():
        for n in BATCHES:
            ours, torchs = (each[f"{dtype} {n}{by}"] for by in ("", " torch"))
            detail = f"3-32-32-1, stress and tangent, {n} points, {default.backend}, one thread; "
            detail += f"torch alone {torchs:.2f} µs"
            report(f"speed.point_{dtype}_{n}", ours, "µs", bar=bar, detail=detail)
        report(
            f"speed.stress_{dtype}",
            each[f"{dtype} stress"],
            "µs",
            detail=f"without the tangent, {n} points",
        )
        found = {key: 1e6 * s / len(few) for key, s in median.items() if f"{dtype} vmap" in key}
        best = min(found, key=found.__getitem__)
        detail = f"{n} points; best of vmap: {best}, {found[best]:.1f} µs"
        report(f"speed.over_vmap_{dtype}", ours / found[best], "1", bar=ratio_bar, detail=detail)
    return each[f"float64 {n}"]


def solid() -> None:
    """Print the figures of a network of a solid in 3D."""
    kinematics, n = Kinematics(3, "finite"), 4000
    network = untrained(kinematics, (64, 64))
    F = stretches(kinematics, n, 0.2, seed=5)[:, 0]
    actions = {
        f"{dtype}{by}": partial(
            NetworkMaterial(network, dtype=dtype, threads=1, backend=by or "auto").evaluate, F
        )
        for dtype in BARS
        for by in ("", "torch")
    }
    median = medians(actions, repeats=5, clock=time.process_time)
    for dtype in BARS:
        detail = f"6-64-64-1, {n} points; torch alone {1e6 * median[f'{dtype}torch'] / n:.1f} µs"
        report(f"speed.solid_point_{dtype}", 1e6 * median[dtype] / n, "µs", detail=detail)


def first_call() -> None:
    """Print how long the first evaluation takes where the cache is empty, and where it is not."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        command = [sys.executable, "-c", FIRST_CALL]
        cold, warm = (
            float(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
            for _ in range(2)
        )
    report("speed.first_call", cold, "s", detail=f"float64, compiled; from the cache {warm:.2f} s")


def main() -> None:
    """Print the figures."""
    torch.set_num_threads(1)
    microseconds = plane()
    solid()
    first_call()
    rve = fibre_rve()
    few = stretches(rve.kinematics, 32, 0.2, seed=5)[:, 0]
    solve = medians({"": lambda: rve.evaluate(few)}, repeats=5, clock=time.process_time)[""]
    ratio = 1e6 * solve / len(few) / microseconds
    report("speed.over_cold_rve", float(np.round(ratio)), "1", detail="times as fast, float64")
