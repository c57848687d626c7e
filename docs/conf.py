"""Settings of the documentation site; ``make docs`` builds it."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from soho import __version__

project = 'soho'
author = 'the authors of soho'
release = version = __version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx.ext.viewcode']
exclude_patterns = ['_build']
html_theme = 'furo'
html_title = f'soho {release}'
html_copy_source = False

# Links to a heading of another page, as `own_data.md#captions`, to the depth that the pages use.
myst_heading_anchors = 3

# `make links` asks every address outside. A site that is slow or turns programs away is no broken link.
linkcheck_timeout = 20
linkcheck_retries = 3
linkcheck_report_timeouts_as_broken = False
linkcheck_allow_unauthorized = True
linkcheck_anchors = False  # headings are made by scripts on many sites
linkcheck_ignore = [r'http://127\.0\.0\.1:']

autodoc_member_order = 'bysource'
# What a class inherits from torch and mmengine is described there.
autodoc_inherit_docstrings = False
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented'
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False


def escape_products(app, what, name, obj, options, lines):
    """Keep the ``*`` of shapes such as (B*M, 3, H, W) and of ``*_cap_*.json`` from opening an emphasis."""
    for number, line in enumerate(lines):
        outside = line.split('``')
        outside[::2] = [part.replace('**', '\0').replace('*', '\\*').replace('\0', '**') for part in outside[::2]]
        lines[number] = '``'.join(outside)


def setup(app):
    # before napoleon, which writes the emphasis of argument names itself
    app.connect('autodoc-process-docstring', escape_products, priority=100)
