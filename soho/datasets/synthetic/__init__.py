"""The synthetic data set: pictures of shapes with captions, regions, instances and questions.

It is written in the files and formats of the public downloads (COCO, VQA v2,
Visual Genome), so that the same datasets and tools read it.
"""

from .generate import SIZES, generate_synthetic

__all__ = ['SIZES', 'generate_synthetic']
