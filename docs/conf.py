"""The documentation as a site (`make docs`): Sphinx reads the Markdown of this directory."""

project = "dotEnv Cloud"
html_title = "dotEnv Cloud"
html_theme = "furo"
extensions = ["myst_parser"]
root_doc = "index"
exclude_patterns = ["conf.py"]
# Links to a heading have the names that a repository's host gives them.
myst_heading_anchors = 4
html_show_sourcelink = False
html_copy_source = False
