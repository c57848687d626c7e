"""Transforms under their present names, for pipelines that checkpoints of earlier versions hold."""

from collections.abc import Mapping, Sequence
from typing import Any


def rename_transforms(pipeline: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the configs of a pipeline with the present name of each transform.

    ``ResizeShortest`` has become ``ResizeShortEdge``, and what was called so before, which takes several lengths,
    ``RandomResizeShortEdge``.
    """
    return [dict(step, type=_find_name(step)) if 'type' in step else dict(step) for step in pipeline]


def _find_name(step: Mapping[str, Any]) -> Any:
    if step['type'] == 'ResizeShortEdge' and ('short_edges' in step or 'long_edge' in step):
        return 'RandomResizeShortEdge'
    return 'ResizeShortEdge' if step['type'] == 'ResizeShortest' else step['type']
