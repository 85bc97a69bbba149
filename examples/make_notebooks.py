"""Generate `notebooks/*.ipynb` from the scripts beside this file; `--check` only says whether they are up to date.

Notebooks hold no outputs and no versions, and cell ids are counted, so the same script gives the same bytes. Links lead
from one folder deeper, and to other notebooks.
"""

import re
import sys
from pathlib import Path

import jupytext
import nbformat

FOLDER = Path(__file__).resolve().parent
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def notebook(script: Path) -> str:
    """Return the text of the notebook of one percent-format script."""
    made = jupytext.reads(script.read_text(encoding="utf-8"), fmt="py:percent")
    made.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    made.nbformat, made.nbformat_minor = 4, 5
    for number, cell in enumerate(made.cells, start=1):
        cell.id, cell.metadata = f"cell-{number:02d}", nbformat.from_dict({})
        if cell.cell_type == "markdown":
            deeper = cell.source.replace("](../", "](../../")
            cell.source = re.sub(r"\]\((\d\d_\w+)\.py\)", r"](\1.ipynb)", deeper)
    return nbformat.writes(made) + "\n"


def main() -> int:
    """Write the notebooks, or with `--check` list the stale ones; return the exit code."""
    wanted = {f"{script.stem}.ipynb": notebook(script) for script in sorted(FOLDER.glob("[0-9]*.py"))}
    folder = FOLDER / "notebooks"
    if "--check" not in sys.argv[1:]:
        folder.mkdir(exist_ok=True)
        for name, text in wanted.items():
            (folder / name).write_text(text, encoding="utf-8")
        return 0
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.ipynb")}
    stale = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    for name in stale:
        print(f"notebooks/{name} is not what its script says. Run: python examples/make_notebooks.py")
    return int(bool(stale))


if __name__ == "__main__":
    sys.exit(main())
