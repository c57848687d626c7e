"""ResNet: image -> feature maps, built from torchvision's layers.

Paper: Deep Residual Learning for Image Recognition, arXiv:1512.03385.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint
from torchvision.models.resnet import BasicBlock, Bottleneck
from torchvision.models.resnet import ResNet as TorchvisionResNet

from soho.errors import UserError
from soho.registry import MODELS

BLOCKS = {
    18: (BasicBlock, (2, 2, 2, 2)),
    34: (BasicBlock, (3, 4, 6, 3)),
    50: (Bottleneck, (3, 4, 6, 3)),
    101: (Bottleneck, (3, 4, 23, 3)),
    152: (Bottleneck, (3, 8, 36, 3)),
}


@MODELS.register_module()
class ResNet(BaseModule):
    """ResNet with torchvision's parameter names, so that its weights load as they are.

    Args:
        depth: 18, 34, 50, 101 or 152.
        num_stages: Residual stages that are built, 1 to 4; fewer stages end
            at a finer stride.
        out_indices: Stages whose outputs are returned, 0-based; stages
            beyond the last of them are built and loaded but not run.
        strides: Stride of each stage's first block.
        stem_pool: Keep the stem's max pooling (stride 4 after the stem
            instead of 2).
        frozen_stages: ``0`` freezes the stem, ``n`` also the first n stages;
            ``-1`` freezes nothing. Frozen modules get no gradient and their
            batch-norms stay in eval mode.
        norm_eval: Keep every batch-norm in eval mode.
        with_cp: Activation checkpointing: recompute the activations of a
            block in the backward pass instead of storing them. Of a compiled
            network these blocks are not compiled.
        cp_updates_bn_twice: Known bug of the release: its checkpointing
            updates the running statistics of batch-norm a second time when a
            block is recomputed. ``True`` does the same, with ``with_cp`` or
            without, to reproduce its runs exactly; by default they are
            updated once per step.
        width_per_group: 128 makes a wide ResNet-50-2.
        zero_init_residual: Initialise the last batch-norm of each residual branch with zero.
        init_cfg: mmengine's initialisation, for instance
            ``dict(type='Pretrained', checkpoint='torchvision://resnet18')``.

    Raises:
        UserError: For a depth or stage that does not exist.
    """

    def __init__(
        self,
        depth: int,
        num_stages: int = 4,
        out_indices: Sequence[int] = (3,),
        strides: Sequence[int] = (1, 2, 2, 2),
        stem_pool: bool = True,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        cp_updates_bn_twice: bool = False,
        width_per_group: int = 64,
        zero_init_residual: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if depth not in BLOCKS:
            raise UserError(f'ResNet has no depth {depth}; choose one of {sorted(BLOCKS)}')
        if not 1 <= num_stages <= 4 or max(out_indices) >= num_stages:
            raise UserError(
                f'out_indices {tuple(out_indices)} need num_stages > {max(out_indices)} '
                f'and at most 4, but num_stages is {num_stages}'
            )
        if frozen_stages > num_stages:
            raise UserError(f'frozen_stages {frozen_stages} exceeds num_stages {num_stages}')
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        self.cp_updates_bn_twice = cp_updates_bn_twice

        block, blocks = BLOCKS[depth]
        net = TorchvisionResNet(
            block, list(blocks), width_per_group=width_per_group, zero_init_residual=zero_init_residual
        )
        self.conv1, self.bn1, self.relu = net.conv1, net.bn1, net.relu
        self.maxpool = net.maxpool if stem_pool else nn.Identity()
        self.stages = [f'layer{i + 1}' for i in range(num_stages)]
        for name, stride in zip(self.stages, strides):
            stage = getattr(net, name)
            _set_stride(stage[0], stride)
            self.add_module(name, stage)
        self.out_channels = [64 * block.expansion * 2**i for i in self.out_indices]
        self.to(memory_format=torch.channels_last)
        self._freeze()

    def _frozen_modules(self) -> Iterator[nn.Module]:
        if self.frozen_stages >= 0:
            yield from (self.conv1, self.bn1)
        for name in self.stages[: max(self.frozen_stages, 0)]:
            yield getattr(self, name)

    def _freeze(self) -> None:
        for module in self._frozen_modules():
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> 'ResNet':
        super().train(mode)
        if mode:
            for module in self._frozen_modules():
                module.eval()
            if self.norm_eval:
                for module in self.modules():
                    if isinstance(module, _BatchNorm):
                        module.eval()
        return self

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """
        Args:
            image: (B, 3, H, W) float, normalised.

        Returns:
            One (B, C, h, w) feature map for each of ``out_indices``.
        """
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        outputs = []
        for i, name in enumerate(self.stages[: max(self.out_indices) + 1]):
            for block in getattr(self, name):
                # Without a gradient at the input, checkpointing saves no memory.
                if self.with_cp and self.training and x.requires_grad:
                    x = _uncompiled_checkpoint(block, x, context_fn=partial(self._contexts, block))
                else:
                    with self._statistics(block, x):
                        x = block(x)
            if i in self.out_indices:
                outputs.append(x)
        return tuple(outputs)

    def _contexts(self, block: nn.Module) -> tuple[AbstractContextManager, AbstractContextManager]:
        """Contexts of a checkpointed block: of its forward pass, and of its recomputation."""
        return nullcontext(), nullcontext() if self.cp_updates_bn_twice else _statistics_moving(block, times=0)

    def _statistics(self, block: nn.Module, x: Tensor) -> AbstractContextManager:
        """Context of a block that is not checkpointed."""
        twice = self.cp_updates_bn_twice and self.training and x.requires_grad
        return _statistics_moving(block, times=2) if twice else nullcontext()


@torch.compiler.disable  # torch cannot compile a context_fn, without which statistics would count twice
def _uncompiled_checkpoint(block: nn.Module, x: Tensor, **options: Any) -> Tensor:
    return checkpoint(block, x, use_reentrant=False, **options)


def _set_stride(block: BasicBlock | Bottleneck, stride: int) -> None:
    """Set the stride of a stage's first block."""
    conv = block.conv2 if isinstance(block, Bottleneck) else block.conv1
    conv.stride = (stride, stride)
    if block.downsample is not None:
        projection = block.downsample.get_submodule('0')
        assert isinstance(projection, nn.Conv2d)  # torchvision's 1 x 1 convolution, before its norm
        projection.stride = (stride, stride)
    elif stride != 1:
        raise UserError('the first stage of a BasicBlock ResNet has no downsampling branch; its stride must be 1')


@contextmanager
def _statistics_moving(block: nn.Module, times: int) -> Generator[None, None, None]:
    """Context in which the running statistics of a block's batch-norms are updated ``times`` times per forward."""
    norms = [m for m in block.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    kept: list[tuple[_BatchNorm, float, Tensor, Tensor]] = []
    for norm in norms:
        assert norm.momentum is not None and norm.num_batches_tracked is not None  # torchvision's norms average so
        kept.append((norm, norm.momentum, norm.num_batches_tracked, norm.num_batches_tracked.clone()))
        norm.momentum = 1 - (1 - norm.momentum) ** times
    try:
        yield
    finally:
        for norm, momentum, tracked, before in kept:
            norm.momentum = momentum
            tracked.copy_(before + times)
