"""Cells from images of real microstructures: one quadrilateral a pixel, one hexahedron a voxel."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fesurrogate.errors import InputError, MissingPackageError
from fesurrogate.micro.cells.cell import Cell
from fesurrogate.micro.cells.grid import grid_cell

GREY = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B", "I;16N")
"""Modes of Pillow with one whole number a pixel; that of a palette is the place in it."""
PIXELS_PER_BYTE = 10_000
"""More than deflate can hold, of 1032 bytes from one, at 8 pixels a byte."""

Labels = int | Sequence[int]


def image_cell(
    image: str | Path | NDArray,
    *,
    phases: Mapping[str, Labels],
    void: str | None = None,
    spacing: float | Sequence[float] = 1.0,
    coarsen: int = 1,
) -> Cell:
    """Return the cell of an image of labels, in space as it looks on the screen.

    Rows run downwards and y upwards; x runs along a row; the pages of a stack follow along z.

    Args:
        image: A PNG, a TIFF (each page a layer) or a NPY file, or the array ``[row, column]`` or
            ``[page, row, column]`` of whole numbers.
        phases: Label of each phase by its name, or labels: grey values, such as 0 and 255.
        void: Name of the phase that is left out of the mesh.
        spacing: Edge length of a pixel or voxel, or one along each of x, y and z.
        coarsen: Pixels along the edge of an element; it gets the phase that most of its pixels
            have, of those with equally many the one that ``phases`` names first.

    Raises:
        InputError: The image cannot be read, is coloured, or has labels that no phase names,
            phases that no pixel has, or one phase only; an argument is out of range; or what is no
            void falls apart.
        MissingPackageError: Pillow is not installed.
    """
    source = "the image" if isinstance(image, np.ndarray) else str(image)
    labels = image if isinstance(image, np.ndarray) else _read(Path(image))
    if labels.dtype.kind not in "iub":
        raise InputError(
            f"{source} holds numbers of type {labels.dtype}; expected whole numbers, the labels"
        )
    if labels.ndim not in (2, 3) or not labels.size:
        raise InputError(
            f"{source} is of shape {labels.shape}; expected [row, column] or [page, row, column]"
        )
    known = _labels_of(phases, void)
    steps = np.asarray(spacing, dtype=float)
    if steps.shape not in ((), (labels.ndim,)) or not (np.isfinite(steps) & (steps > 0)).all():
        raise InputError(f"spacing is {spacing}; expected a number > 0, or {labels.ndim} of them")
    index = _as_phases(labels, known, source)[..., ::-1, :].T  # (x, y) or (x, y, z)
    index = _majority(index, coarsen, len(known), source)
    missing = [name for k, name in enumerate(known) if not (index == k).any()]
    if missing:
        raise InputError(
            f"{source}: no element is left of phase {', '.join(missing)} with coarsen = {coarsen}; "
            "take a smaller one"
        )
    edges = np.broadcast_to(coarsen * steps, index.ndim)
    lines = [edge * np.arange(n + 1) for edge, n in zip(edges, index.shape, strict=True)]
    return grid_cell(index, lines, list(known), void=void, source=source)


def _labels_of(phases: Mapping[str, Labels], void: str | None) -> dict[str, list[int]]:
    """Return the labels of each phase as a list.

    Raises:
        InputError: Fewer than two phases, a label of two phases, or a void that is none of them.
    """
    known = {
        name: [labels] if isinstance(labels, int) else list(labels)
        for name, labels in phases.items()
    }
    if len(known) < 2:
        raise InputError(
            f"phases names {', '.join(known) or 'nothing'}; expected at least two, such as "
            "{ matrix = 0, fibre = 255 }"
        )
    owner: dict[int, str] = {}
    for name, labels in known.items():
        if not labels:
            raise InputError(f"phase {name} has no label; give at least one")
        for label in labels:
            if label in owner:
                raise InputError(
                    f"label {label} is of phase {owner[label]} and of {name}; expected one phase"
                )
            owner[label] = name
    if void is not None and void not in known:
        raise InputError(f"void is {void!r}; expected one of the phases {', '.join(known)}")
    return known


def _read(path: Path) -> NDArray:
    """Return the labels of a file, [row, column] or [page, row, column]."""
    if not path.is_file():
        raise InputError(f"there is no image {path}; give the path of a PNG, TIFF or NPY file")
    try:
        if path.suffix.lower() == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        return _pages(path)
    except (InputError, MissingPackageError):
        raise
    except Exception as error:  # Pillow and NumPy raise many kinds about damaged files
        raise InputError(
            f"cannot read the image {path}: {error}; expected a PNG, TIFF or NPY file"
        ) from error


def _pages(path: Path) -> NDArray:
    try:
        from PIL import Image, ImageSequence, UnidentifiedImageError
    except ImportError as error:
        raise MissingPackageError(
            "reading an image needs Pillow; install it with: pip install pillow"
        ) from error
    # From memory: a page of a file that Pillow maps may be decoded into the map and crash (11.1).
    content = io.BytesIO(path.read_bytes())
    try:
        opened = Image.open(content)
    except UnidentifiedImageError:
        raise InputError(
            f"cannot read the image {path}: it is none; expected a PNG, TIFF or NPY file"
        ) from None
    with opened:
        pages, pixels = [], 0
        for page in ImageSequence.Iterator(opened):
            if page.mode not in GREY:
                raise InputError(
                    f"{path} is an image of mode {page.mode}, with colours, transparency or "
                    "fractions; expected one whole number a pixel, the label: convert it to grey "
                    "values (Pillow: image.convert('L')) and give each phase one"
                )
            pixels += page.width * page.height
            if pixels > PIXELS_PER_BYTE * len(content.getbuffer()):
                raise InputError(
                    f"{path} claims {pixels} pixels in {len(content.getbuffer())} bytes, more than "
                    "can be: it is damaged, get or make it again"
                )
            pages.append(np.array(page))
    if len({page.shape for page in pages}) > 1:
        raise InputError(f"{path}: its {len(pages)} pages differ in size; expected layers of one")
    return pages[0] if len(pages) == 1 else np.stack(pages)


def _as_phases(labels: NDArray, known: dict[str, list[int]], source: str) -> NDArray[np.int64]:
    """Return the place of each pixel's phase in ``known``."""
    values, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    seen = {int(v): float(c / labels.size) for v, c in zip(values, counts, strict=True)}
    listed = ", ".join(f"{v} ({share:.3g})" for v, share in list(seen.items())[:6])
    listed += f", ... {len(seen)} in all" if len(seen) > 6 else ""
    if len(seen) == 1:
        raise InputError(
            f"{source} has a single label, {listed}; expected at least two phases: check the "
            "threshold that made it, or take the phase alone as the material"
        )
    place = {label: k for k, each in enumerate(known.values()) for label in each}
    if set(seen) - set(place):
        raise InputError(
            f"{source}: {len(set(seen) - set(place))} label(s) belong to no phase, the first "
            f"{min(set(seen) - set(place))}; its labels (and their shares) are {listed}. Name "
            "them in phases, or threshold the image"
        )
    for name, each in known.items():
        if not set(each) & set(seen):
            raise InputError(
                f"{source}: no pixel has the label {' or '.join(map(str, each))} of phase {name}; "
                f"its labels (and their shares) are {listed}"
            )
    found = np.array([place[int(v)] for v in values])
    return found[inverse.reshape(labels.shape)]


def _majority(
    index: NDArray[np.int64], coarsen: int, phases: int, source: str
) -> NDArray[np.int64]:
    """Return the phase that most pixels of each block have; the first of equals."""
    if coarsen < 1:
        raise InputError(f"coarsen is {coarsen}; expected a whole number of pixels >= 1")
    if any(n % coarsen for n in index.shape):
        raise InputError(
            f"{source} has {' x '.join(map(str, index.shape))} pixels along x, y ...; coarsen = "
            f"{coarsen} does not divide them. Crop the image or take another"
        )
    blocks = [part for n in index.shape for part in (n // coarsen, coarsen)]
    within = tuple(range(1, 2 * index.ndim, 2))
    votes = [(index == k).reshape(blocks).sum(axis=within) for k in range(phases)]
    return np.argmax(votes, axis=0)
