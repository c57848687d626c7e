"""The synthetic data set: pictures of shapes with captions, regions, instances and questions.

It is written in the files and formats of the public downloads (COCO, VQA v2,
Visual Genome), so that the same datasets and tools read it.
"""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(__name__, {'generate': ['SIZES', 'generate_synthetic']})
