"""Sphinx's settings."""

project = "mailplat"
copyright = "the mailplat developers"
extensions = ["myst_parser"]
html_theme = "furo"
exclude_patterns = ["_build"]
myst_heading_anchors = 3
nitpicky = True
