"""mmengine's own loading of checkpoints, made safe."""

from mmengine.runner.checkpoint import CheckpointLoader

from soho.engine.checkpoint.read import read_checkpoint


def use_safe_loading() -> None:
    """Make mmengine read every checkpoint through :func:`soho.engine.checkpoint.read.read_checkpoint`.

    For what calls mmengine's loader by itself: its hooks, and parts of other toolboxes. A run or an inference
    calls this when it begins.
    """
    for prefix in ['', *CheckpointLoader._schemes]:
        CheckpointLoader.register_scheme(prefixes=prefix, loader=read_checkpoint, force=True)
