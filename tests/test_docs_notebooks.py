"""Every notebook of the documentation runs."""

from __future__ import annotations

import ast

import matplotlib.pyplot as plt
import pytest
from notebooks import ALONE, NOTEBOOKS, code_cells


@pytest.mark.parametrize(
    "notebook", [one for one in NOTEBOOKS if one.stem != ALONE], ids=lambda path: path.stem
)
def test_a_notebook_runs(notebook):
    """In this process, which has loaded already what a kernel of its own would load for seconds."""
    names, shown = {"__name__": "__main__"}, []
    for cell in code_cells(notebook):
        *rest, last = ast.parse("".join(cell["source"])).body
        exec(compile(ast.Module(rest, []), notebook.name, "exec"), names)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), notebook.name, "eval"), names))
        else:
            exec(compile(ast.Module([last], []), notebook.name, "exec"), names)
    plt.close("all")
    assert any(value is not None for value in shown)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_committed_without_outputs(notebook):
    assert not [cell for cell in code_cells(notebook) if cell["outputs"] or cell["execution_count"]]
