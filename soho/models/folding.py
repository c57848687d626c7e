"""Folding of batch-norms into the convolutions before them, for inference."""

from mmcv.cnn import fuse_conv_bn
from torch import nn


def fold_norms(model: nn.Module) -> nn.Module:
    """Fold the scale and shift of every batch-norm into the convolution before it.

    In evaluation a batch-norm is a fixed scale and shift per channel, so the
    results are the same up to rounding. Afterwards the model can no longer be
    trained, or saved under its old parameters.

    Args:
        model: In eval mode; changed in place.

    Raises:
        ValueError: The model is in training mode.
    """
    if model.training:
        raise ValueError('norms can be folded for inference only: call model.eval() first')
    for part in model.children():
        # timm's norms hold an activation that must stay.
        if not any(hasattr(module, 'act') and hasattr(module, 'running_mean') for module in part.modules()):
            fuse_conv_bn(part)
    return model
