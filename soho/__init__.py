"""soho: learn from images and the sentences that go with them, end to end."""

from soho.version import __version__

__all__ = ['__version__']
