"""Parts of a detector of two stages."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__, {'heads': ['FCBoxHead', 'MaskHead', 'NormBoxHead'], 'regions': ['RegionHeads'], 'rpn': ['RPN']}
)
