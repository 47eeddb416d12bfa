"""Make a periodic cell of parallel fibres, cut across: ``fibre_rve.msh``.

Equal circular fibres lie at random (sequential addition, a fixed seed) in the unit square; a fibre
that crosses an edge goes on at the opposite one. Opposite edges carry the same nodes, so that
periodic boundary conditions need no interpolation. Physical groups: ``matrix`` and ``fibre``.

The area fraction 0.2 is that of the cell in the code published with Nguyen-Thanh, Nguyen, Rabczuk
and Zhuang (2020), Int. J. Numer. Methods Eng. 121:4811-4842 (there: one centred fibre).
The radius is corrected until the *meshed* fibres, which are polygons, have that fraction.

    python3 meshes/fibre_rve.py --output meshes/fibre_rve.msh
"""

from __future__ import annotations

import argparse
import itertools
import math

import gmsh
import numpy as np


def place_fibres(count: int, radius: float, *, seed: int, gap: float) -> np.ndarray:  # (count, 2)
    """Draw fibre centres in the periodic unit square, neither touching nor grazing an edge.

    Args:
        count: number of fibres.
        radius: fibre radius; the cell has side 1.
        seed: of the random numbers.
        gap: smallest free distance between fibres, and between an edge and a fibre that it does
            not cut clearly, in radii.

    Raises:
        SystemExit: no place is left after 100,000 draws.
    """
    rng = np.random.default_rng(seed)
    centres: list[np.ndarray] = []
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=2)))
    for _ in range(100_000):
        candidate = rng.random(2)
        to_edge = np.concatenate([candidate, 1.0 - candidate])
        to_corner = np.linalg.norm(corners - candidate, axis=1)
        if np.any(np.abs(to_edge - radius) < gap * radius):
            continue
        if np.any(np.abs(to_corner - radius) < gap * radius):
            continue
        apart = [np.linalg.norm((candidate - c + 0.5) % 1.0 - 0.5) for c in centres]
        if apart and min(apart) < (2.0 + gap) * radius:
            continue
        centres.append(candidate)
        if len(centres) == count:
            return np.array(centres)
    raise SystemExit(
        f"no place for {count} fibres of radius {radius:.3f}: lower --fraction or --gap, or try "
        "another --seed"
    )


def periodic_edges(tolerance: float = 1e-7) -> None:
    """Give opposite edges of the unit square the same nodes."""
    for axis in (0, 1):
        shift = np.eye(4)
        shift[axis, 3] = 1.0
        lower, upper = [-tolerance] * 3, [1.0 + tolerance] * 3
        upper[axis] = tolerance
        for _, master in gmsh.model.getEntitiesInBoundingBox(*lower, *upper, dim=1):
            box = np.array(gmsh.model.getBoundingBox(1, master))
            box[[axis, axis + 3]] += 1.0
            box += np.array([-1, -1, -1, 1, 1, 1]) * tolerance
            for _, slave in gmsh.model.getEntitiesInBoundingBox(*box, dim=1):
                gmsh.model.mesh.setPeriodic(1, [slave], [master], shift.ravel())


def mesh_cell(centres: np.ndarray, radius: float, *, size: float) -> float:
    """Mesh the cell in gmsh's current model and return the meshed area fraction of the fibres."""
    gmsh.clear()
    occ = gmsh.model.occ
    square = occ.addRectangle(0, 0, 0, 1, 1)
    disks = []
    for centre, shift in itertools.product(centres, itertools.product((-1, 0, 1), repeat=2)):
        x, y = centre + np.array(shift)
        if -radius < x < 1 + radius and -radius < y < 1 + radius:
            disks.append((2, occ.addDisk(x, y, 0, radius, radius)))
    fibres, _ = occ.intersect(disks, [(2, square)], removeTool=False)
    occ.fragment([(2, square)], fibres)
    occ.synchronize()
    periodic_edges()

    fibre_tags = sorted(tag for _, tag in fibres)
    matrix_tags = [tag for _, tag in gmsh.model.getEntities(2) if tag not in fibre_tags]
    gmsh.model.addPhysicalGroup(2, matrix_tags, 1, "matrix")
    gmsh.model.addPhysicalGroup(2, fibre_tags, 2, "fibre")
    gmsh.option.setNumber("Mesh.MeshSizeMin", size)
    gmsh.option.setNumber("Mesh.MeshSizeMax", size)
    gmsh.option.setNumber("Mesh.Algorithm", 6)
    gmsh.model.mesh.generate(2)

    area = 0.0
    for tag in fibre_tags:
        _, elements, _ = gmsh.model.mesh.getElements(2, tag)
        area += float(np.sum(gmsh.model.mesh.getElementQualities(elements[0], "volume")))
    return area


def main() -> None:
    """Read the command line, mesh, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", default="fibre_rve.msh")
    parser.add_argument("--fibres", type=int, default=6)
    parser.add_argument("--fraction", type=float, default=0.2, help="area fraction of the fibres")
    parser.add_argument("--size", type=float, default=0.0545, help="edge length of the triangles")
    parser.add_argument("--gap", type=float, default=0.35, help="smallest distance, in radii")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    radius = math.sqrt(arguments.fraction / (math.pi * arguments.fibres))
    centres = place_fibres(arguments.fibres, radius, seed=arguments.seed, gap=arguments.gap)
    gmsh.initialize(["-nt", "1"])
    gmsh.option.setNumber("General.Verbosity", 2)
    for _ in range(4):
        fraction = mesh_cell(centres, radius, size=arguments.size)
        if abs(fraction - arguments.fraction) < 1e-4:
            break
        radius *= math.sqrt(arguments.fraction / fraction)
    nodes = len(gmsh.model.mesh.getNodes()[0])
    print(f"{arguments.output}: {nodes} nodes, radius {radius:.5f}, fraction {fraction:.5f}")
    gmsh.option.setNumber("Mesh.MshFileVersion", 4.1)
    gmsh.write(arguments.output)
    gmsh.finalize()


if __name__ == "__main__":
    main()
