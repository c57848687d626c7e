"""Write an official SOHO or VirTex checkpoint in this project's layout.

    python tools/convert/from_official.py CHECKPOINT OUT

Not needed in order to use one: ``load_from``, ``tools/test.py`` and the
inference calls read official checkpoints as they are.
"""

from soho.apis.sources import locate_checkpoint
from soho.engine.checkpoint.adapters.official import from_official
from soho.engine.checkpoint.convert import run_command

if __name__ == '__main__':
    run_command(from_official, __doc__, locate=locate_checkpoint)
