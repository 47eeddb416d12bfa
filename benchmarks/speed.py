"""What a point of an energy network costs, beside automatic differentiation of its energy."""

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


def untrained(kinematics: Kinematics, hidden: tuple[int, ...]) -> EnergyNetwork:
    """Return a network of ordinary size: what its weights are changes nothing in its speed."""
    network = EnergyNetwork(kinematics, hidden)
    network.scale.fill_(0.2)
    network.growth.fill_(0.5)
    network.energy_scale.fill_(0.1)
    return network


def plain_energy(
    network: EnergyNetwork,
    row: torch.Tensor,  # (m,)
) -> torch.Tensor:  # ()
    """Return the energy alone, as one writes it for automatic differentiation."""
    kinematics, part = network.kinematics, network.perceptron
    e = components(kinematics, row[:, None])
    x = e[:, 0] / network.scale[:, 0]
    activation, at_rest, slope = x, torch.zeros_like(network.scale[:, 0]), x
    for weight, bias in zip(part.weights, part.biases, strict=True):
        activation = torch.tanh(weight @ activation + bias[:, 0])
        at_rest = torch.tanh(weight @ at_rest + bias[:, 0])
        slope = (1.0 - at_rest**2) * (weight @ slope)  # ∇N(0) · x, layer by layer
    learned = part.output[0] @ (activation - at_rest - slope)
    closed = 0.5 * e[:, 0] @ (network.stiffness[0] @ e[:, 0])
    growth = growth_terms(e, network.growth[0], kinematics.gdim, second=False)[0]
    return network.energy_scale * learned + closed + growth[0]


def main() -> None:
    """Print the time of a point beside that of automatic differentiation, one thread."""
    torch.set_num_threads(1)
    rve = fibre_rve()
    network = untrained(rve.kinematics, (32, 32))
    F = stretches(rve.kinematics, 16_384, 0.2, seed=5)[:, 0]
    few = F[:32]
    actions = {"rve": lambda: rve.evaluate(few)}
    for name, dtype in (("float64", torch.float64), ("float32", torch.float32)):
        for chunk in (500, 1000, 2000, 4000):
            material = NetworkMaterial(network, dtype=name, chunk=chunk, threads=1)
            actions[f"{name} {chunk}"] = partial(material.evaluate, F)
            plain = NetworkMaterial(network, dtype=name)._network
            energy = partial(plain_energy, plain)
            gradient = torch.func.vmap(torch.func.grad(energy))
            hessian = torch.func.vmap(torch.func.hessian(energy))
            rows = torch.from_numpy(F).to(dtype)

            def automatic(rows=rows, chunk=chunk, functions=(gradient, hessian)) -> None:
                for first in range(0, len(rows), chunk):
                    for function in functions:
                        function(rows[first : first + chunk])

            actions[f"vmap {name} {chunk}"] = automatic
    median = medians(actions, repeats=5)
    for name, (bar, ratio_bar) in BARS.items():
        default = median[f"{name} 2000"]
        best = min(seconds for key, seconds in median.items() if key.startswith(f"vmap {name}"))
        microseconds = 1e6 * default / len(F)
        detail = f"3-32-32-1, one thread, chunks of 2000; vmap {1e6 * best / len(F):.1f} µs"
        report(f"speed.point_{name}", microseconds, "µs", bar=bar, detail=detail)
        report(f"speed.point_over_vmap_{name}", default / best, "1", bar=ratio_bar, detail=detail)
    ratio = (median["rve"] / len(few)) / (median["float64 2000"] / len(F))
    report("speed.up_over_cold_rve", float(np.round(ratio)), "1", detail="float64")
