"""soho: learn from images and the sentences that go with them, end to end."""

from soho.platform import name_unknown_user
from soho.version import __version__

__all__ = ['__version__']

name_unknown_user()  # before the first import of mmengine, which fails for one
