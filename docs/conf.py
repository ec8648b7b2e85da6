"""How `make docs` builds the pages: the source directory is the repository, so that links work in both."""

project = "molweight"
author = "The molweight authors"
root_doc = "docs/index"
include_patterns = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "docs/*.md", "docs/notebooks/*.ipynb"),
    *("benchmarks/*.md", "datasets/README.md", "results/*.md", "results/*/*.md"),
    "molweight/models/pretrained/*.md",
]
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

myst_heading_anchors = 3
nb_execution_mode = "off"  # but for the quickstart; make docs runs them all: -D nb_execution_mode=force
nb_execution_timeout = 600  # seconds for a cell
nb_execution_raise_on_error = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # signatures carry them
add_module_names = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = "molweight"
html_show_sourcelink = False
html_show_copyright = False
