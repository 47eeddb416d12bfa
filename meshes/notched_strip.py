"""Make a quarter of a strip with two round notches: ``notched_strip.msh``.

The strip is 20 wide and 30 high (mm), with a semicircular notch of radius 4 in the middle of each
side, which leave a ligament of 12. The quarter has its symmetry planes at the ``left`` and at the
``bottom`` (the ligament); the other groups are ``top``, ``right``, ``notch`` and ``plate``.

    python3 meshes/notched_strip.py --output meshes/notched_strip.msh
"""

from __future__ import annotations

import argparse

import gmsh

WIDTH, HEIGHT, RADIUS = 10.0, 15.0, 4.0  # of the quarter, in mm


def mesh_quarter(fine: float, coarse: float) -> None:
    """Mesh the quarter in gmsh's current model.

    Args:
        fine: edge length at the root of the notch, in mm.
        coarse: edge length at the corners of the top.
    """
    geo = gmsh.model.geo
    root = WIDTH - RADIUS
    corners = [
        geo.addPoint(0, 0, 0, (fine + coarse) / 2),
        geo.addPoint(root, 0, 0, fine),
        geo.addPoint(WIDTH, RADIUS, 0, (fine + coarse) / 2),
        geo.addPoint(WIDTH, HEIGHT, 0, coarse),
        geo.addPoint(0, HEIGHT, 0, coarse),
    ]
    centre = geo.addPoint(WIDTH, 0, 0)
    sides = {
        "bottom": geo.addLine(corners[0], corners[1]),
        "notch": geo.addCircleArc(corners[1], centre, corners[2]),
        "right": geo.addLine(corners[2], corners[3]),
        "top": geo.addLine(corners[3], corners[4]),
        "left": geo.addLine(corners[4], corners[0]),
    }
    surface = geo.addPlaneSurface([geo.addCurveLoop(list(sides.values()))])
    geo.synchronize()
    for number, (name, side) in enumerate(sides.items(), start=1):
        gmsh.model.addPhysicalGroup(1, [side], number, name)
    gmsh.model.addPhysicalGroup(2, [surface], len(sides) + 1, "plate")
    gmsh.model.mesh.generate(2)


def main() -> None:
    """Read the command line, mesh, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", default="notched_strip.msh")
    parser.add_argument("--fine", type=float, default=0.9, help="edge length at the root, in mm")
    parser.add_argument("--coarse", type=float, default=5.0, help="edge length at the top, in mm")
    arguments = parser.parse_args()

    gmsh.initialize(["-nt", "1"])
    gmsh.option.setNumber("General.Verbosity", 2)
    mesh_quarter(arguments.fine, arguments.coarse)
    triangles = len(gmsh.model.mesh.getElementsByType(2)[0])
    print(f"{arguments.output}: {triangles} triangles")
    gmsh.option.setNumber("Mesh.MshFileVersion", 4.1)
    gmsh.write(arguments.output)
    gmsh.finalize()


if __name__ == "__main__":
    main()
