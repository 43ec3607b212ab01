"""The notebooks run, at their small size, and what they show of proofs is what is committed.

    python tests/test_notebooks.py [WORD …]

executes the notebooks whose names contain a word (default: all) and writes them as committed:
with outputs, without times and other traces of the machine.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("matplotlib")

import identkit  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECONDS = 120
"""For each cell; a whole notebook takes less."""
MOST_BYTES = 400_000
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
SECONDS_TAKEN = re.compile(r", \d+\.\d s$", re.MULTILINE)
"""At the end of a line of a report."""
COMPARED = ("text/html", "text/markdown")
"""Of displayed objects."""
STARTUP = f"""\
import sys
sys.path.insert(0, {str(ROOT / "tests")!r})
import checked
sys.path.pop(0)
checked.share()
del sys, checked
"""
"""What a kernel runs first: checks that other tests have made are not made again."""


def environment(folder: Path) -> dict[str, str]:
    """Of the kernel: the identkit that is tested, one thread, the small size, its own folders."""
    package = str(Path(identkit.__file__).resolve().parents[1])
    path = os.pathsep.join(p for p in (package, os.environ.get("PYTHONPATH")) if p)
    own = {
        "PYTHONPATH": path,
        "OMP_NUM_THREADS": "1",
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
    }
    dropped = ("IDENTKIT_NOTEBOOKS", "MPLBACKEND", "PYTHONWARNINGS")
    return {k: v for k, v in os.environ.items() if k not in dropped} | own


def executed(path: Path, folder: Path):
    """A notebook run from top to bottom in a kernel of its own, in a folder of data alone."""
    startup = folder / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "checks.py").write_text(STARTUP, encoding="utf-8")
    notebook = nbformat.read(path, as_version=4)
    for cell in code_cells(notebook):
        cell.outputs, cell.execution_count = [], None
    place = folder / "place"
    place.mkdir()
    for data in path.parent.glob("*.csv"):
        shutil.copy(data, place)
    given = sorted(place.iterdir())
    client = nbclient.NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": str(place)}},
    )
    client.execute(env=environment(folder))  # raises CellExecutionError with the traceback
    assert sorted(place.iterdir()) == given, "it leaves files in the working directory"
    notebook.metadata = nbformat.from_dict(METADATA)
    for output in (o for cell in code_cells(notebook) for o in cell.outputs):
        if "text/html" in output.get("data", {}):
            output.data.pop("text/plain", None)  # a long repr, which holds seconds
        if output.output_type == "stream":
            output.text = SECONDS_TAKEN.sub("", output.text)
    return notebook


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_verdict(cell) -> bool:
    """Whether its output is determined by proofs alone."""
    return "verdict" in cell.metadata.get("tags", [])


def shown(cell) -> str:
    """The text of a cell's outputs; identkit's version, which changes by itself, left out."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            parts.append(output.text)
        elif output.output_type == "execute_result":
            parts += [output.data[kind] for kind in COMPARED if kind in output.data]
    return re.sub(r"identkit \d+(\.\w+)+", "identkit", "".join(parts)).strip()


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 4


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_notebook_is_clean(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    assert "Traceback (most recent call last)" not in text
    words = re.sub(r'"image/png": "[^"]*"', "", text)
    machine = re.search(r"/(home|root|Users|tmp|work|var)/|[A-Z]:\\\\+Users", words)
    assert machine is None, f"a path of the machine: {words[machine.start() :][:60]}"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata == METADATA
    assert [c.id for c in notebook.cells] == [
        f"cell-{i:02d}" for i in range(1, len(notebook.cells) + 1)
    ]
    assert all(set(c.metadata) <= {"tags"} for c in notebook.cells)
    code = code_cells(notebook)
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))
    outputs = [output for c in code for output in c.outputs]
    assert outputs
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o for o in outputs if o.output_type == "stream" and o.name == "stderr"]
    verdicts = [c for c in code if is_verdict(c)]
    assert verdicts
    assert all(shown(c) or c.outputs == [] for c in verdicts)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_and_its_verdicts_are_the_committed_ones(path, tmp_path):
    committed, fresh = nbformat.read(path, as_version=4), executed(path, tmp_path)
    for before, after in zip(code_cells(committed), code_cells(fresh), strict=True):
        if is_verdict(before):
            assert shown(after) == shown(before), (
                f"{path.name}, {before.id}: its output is not the committed one; if it is right, "
                "run python tests/test_notebooks.py"
            )
        assert not [o for o in after.outputs if o.get("name") == "stderr"], f"{before.id}: warns"


def main(words: list[str]) -> None:
    for path in NOTEBOOKS:
        if not words or any(word in path.stem for word in words):
            with tempfile.TemporaryDirectory() as folder:
                notebook = executed(path, Path(folder))
            path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
            print(path.relative_to(ROOT))


if __name__ == "__main__":
    main(sys.argv[1:])
