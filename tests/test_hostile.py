"""Files that were damaged or made to harm: an InputError, and no other error, hang or file."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from hostile import KINDS, attack
from mpi4py import MPI

from fesurrogate.config import read_config
from fesurrogate.errors import InputError

pytestmark = pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="of one process")
CASES = 15  # of each kind: 210 together; python -m benchmarks robustness reads 2,000


@pytest.mark.parametrize("kind", KINDS, ids=lambda name: name.replace(" ", "-"))
def test_a_hostile_file_is_an_input_error(kind: str, tmp_path: Path) -> None:
    found = attack(KINDS[kind], tmp_path / "files", CASES, seed=len(kind))
    assert found["wrong"] == []
    assert found["refused"] + found["read"] == CASES  # type: ignore[operator]
    assert found["refused"] >= CASES // 3  # type: ignore[operator]


def test_no_pickle_is_ever_loaded() -> None:
    """Nothing in the package calls what would load one; numpy's loader is told not to."""
    package = Path(sys.modules["fesurrogate"].__file__ or "").parent
    loaders = {"pickle.load", "pickle.loads", "torch.load", "joblib.load", "dill.load",
               "dill.loads", "shelve.open", "marshal.loads", "pandas.read_pickle"}  # fmt: skip
    numpys = 0
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names]
                assert not {"pickle", "dill", "joblib", "shelve", "marshal"} & set(names), path
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func)
                assert name not in loaders, f"{path}:{node.lineno}"
                if name in ("np.load", "numpy.load"):
                    told = {k.arg: ast.unparse(k.value) for k in node.keywords}
                    assert told["allow_pickle"] == "False", f"{path}:{node.lineno}"
                    numpys += 1
    assert numpys > 0  # or the search finds nothing any more


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("increments = 2", "increments = 99999999999", "increments"),
        ("increments = 2", "increments = 2\nend = 1e308\nmax_cuts = 99999999999", "max_cuts"),
    ],
)
def test_numbers_that_would_fill_the_memory_are_refused(
    old: str, new: str, part: str, tmp_path: Path
) -> None:
    from test_cli import PROBLEM

    (tmp_path / "case.toml").write_text(PROBLEM.replace(old, new))
    with pytest.raises(InputError, match=part):
        read_config(tmp_path / "case.toml")
