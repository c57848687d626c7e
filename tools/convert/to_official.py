"""Write a checkpoint of this project in the official layout of its method, SOHO or VirTex.

    python tools/convert/to_official.py CHECKPOINT OUT

Entries, their order and what is tied are the official ones, and nothing is
rounded: an official checkpoint that came in by ``load_from`` or
``from_official.py`` comes out equal bit for bit.
"""

from soho.apis.sources import locate_checkpoint
from soho.engine.checkpoint.adapters.official import to_official
from soho.engine.checkpoint.convert import official_file, run_command

if __name__ == '__main__':
    run_command(to_official, __doc__, wrap=official_file, locate=locate_checkpoint)
