"""Batch-norm folded into the convolution before it, for inference."""

from mmcv.cnn import fuse_conv_bn
from torch import nn


def fold_norms(model: nn.Module) -> nn.Module:
    """Give every convolution the scale and shift of the batch-norm behind it, which then does nothing.

    In evaluation a batch-norm is a fixed scale and shift a channel, so the
    results are the same but for rounding. The model cannot be trained or
    saved as before afterwards.

    Args:
        model: In eval mode; changed in place.

    Raises:
        ValueError: It is in training mode.
    """
    if model.training:
        raise ValueError('norms can be folded for inference only: call model.eval() first')
    for part in model.children():
        # timm's norms hold an activation that must stay.
        if not any(hasattr(module, 'act') and hasattr(module, 'running_mean') for module in part.modules()):
            fuse_conv_bn(part)
    return model
