"""A table about pictures of one's own -> annotation files and a config: what ``soho prepare table`` does."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {'prepare': ['prepare_table'], 'request': ['Request']})
