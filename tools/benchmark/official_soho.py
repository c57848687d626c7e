"""Comparison with the official SOHO code, measured in turns.

The checkout of researchmm/soho is not changed. Functions of the libraries of 2021
that are gone today are replaced in memory, see ``docs/benchmarks.md``.
"""

import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.distributed as dist
from mmengine.config import Config
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from tools.benchmark.bench import Bench, Rows
from tools.benchmark.inference import Prediction
from tools.benchmark.official import checkout
from tools.benchmark.race import Calls, Candidate, published, published_dtype, race, rows_of
from tools.benchmark.recipes import random_batch, recipe
from tools.benchmark.training import Step, title

FIRST, SECOND = 'forward and backward', 'clipping and optimizer'
CONFIGS = dict(pretrain='configs/Pretrain/soho_res18_pre.py', vqa='configs/VQA/soho_res18_vqa.py')
STAND_INS = (
    'apex',
    'six',
    'six.moves',
    'requests',
    'requests.exceptions',
    'boto3',
    'botocore',
    'botocore.config',
    'botocore.exceptions',
    'sacremoses',
    'filelock',
    'SOHO.version',
)


class OfficialSOHO:
    """Official model with random weights, its optimizer, and our batch as its inputs.

    Args:
        bench: Device, dtype and folder of the checkout.
        kind: ``'pretrain'`` or ``'vqa'``.
        batch: Batch of :func:`tools.benchmark.recipes.random_batch` makes it.
    """

    def __init__(self, bench: Bench, kind: str, batch: dict[str, Tensor]) -> None:
        if not dist.is_initialized():  # its dictionary always communicates, even with one rank
            backend = 'nccl' if bench.device.type == 'cuda' else 'gloo'
            dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
        folder = Path(bench.args.official_soho)
        with checkout(folder, 'SOHO', STAND_INS, __version__='', short_version=''):
            from SOHO.apis.train import build_optimizer
            from SOHO.models import build_model
            from SOHO.models.backbone import resnet
            from SOHO.models.languages import bert
        # use_reentrant was True before it was an option.
        resnet.cp = bert.cp = SimpleNamespace(checkpoint=partial(checkpoint, use_reentrant=True))
        cfg = Config.fromfile(str(folder / CONFIGS[kind]), lazy_import=False)
        cfg.model.update(backbone_pre=None, language_pre=None)
        cfg.model.neck.norm_cfg = dict(type='BN')  # one process: the same as SyncBN, which needs GPUs
        self.model: nn.Module = build_model(cfg.model).to(bench.device)
        if kind == 'vqa':
            self.model.head.vqa[2].inplace = False  # torch refuses it in backward after a ReLU
            if bench.device.type == 'cpu':  # its score is computed on a GPU whatever the device
                self.model.head.compute_score_with_logits = lambda logits, labels: logits.new_zeros(1)
        with open(os.devnull, 'w') as nowhere:
            cfg.log_file = nowhere
            self.optimizer: torch.optim.Optimizer = build_optimizer(self.model, cfg.optimizer)
        # Its configs say 128 where apex starts and ends; before torch would double it, the race is over.
        self.scaler = torch.amp.GradScaler(
            bench.device.type, init_scale=cfg.fp_16.max_loss_scale, enabled=bench.dtype == torch.float16
        )
        self.max_norm = cfg.optimizer_config.grad_clip.max_norm
        self.bench = bench
        self.kind = kind
        self.batch = batch
        self.loss: Tensor

    def inputs(self) -> dict[str, Any]:
        """Return the batch in the official form, with normalised images, which its data pipeline does."""
        image = self.batch['image'].to(self.bench.device).float()
        height, width = image.shape[-2:]
        shapes = [(int(h), int(w), 3) for h, w in self.batch['image_size']]
        inputs = dict(
            img=(image - 116.0) / 57.0,
            img_meta=[dict(img_shape=shape, pad_shape=(height, width, 3)) for shape in shapes],
            language_tokens=list(self.batch['input_ids'].to(self.bench.device)),
            language_attention=list(self.batch['attention_mask'].to(self.bench.device)),
        )
        if self.kind == 'pretrain':
            return dict(
                inputs,
                mask_labels=list(self.batch['mlm_labels'].to(self.bench.device)),
                next_label=list(self.batch['itm_labels'].to(self.bench.device)),
            )
        answers = torch.zeros(len(image), 1, self.model.head.vqa[3].out_features)
        answers.scatter_(2, self.batch['answer_labels'], 1.0)
        return dict(
            inputs, vqa_labels=list(answers.to(self.bench.device)), question_ids=list(self.batch['question_id'])
        )

    def gradients(self) -> None:
        """Run forward and backward as in its runner."""
        with self.bench.autocast():
            self.loss = self.model.train_step(self.prepared, self.optimizer)['loss']
        self.scaler.scale(self.loss).backward()

    def update(self) -> None:
        """Clip and update as in its optimizer hook without accumulation."""
        weights = [p for p in self.model.parameters() if p.requires_grad and p.grad is not None]
        self.scaler.unscale_(self.optimizer)
        float(nn.utils.clip_grad_norm_(weights, self.max_norm))
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()

    @torch.no_grad()
    def predict(self) -> None:
        """Answer the questions of the batch."""
        self.model(mode='test', **self.prepared)

    def train(self, mode: bool = True) -> 'OfficialSOHO':
        """Set the training mode and prepare the inputs."""
        self.model.train(mode)
        self.prepared = self.inputs()
        return self


def official_soho(bench: Bench) -> Rows:
    """Compare pretraining and fine-tuning steps, their peak memory, and inference.

    As published, only pretraining runs in float16 (``fp_16`` of the configs: O1, and O0 for VQA).
    """
    args = bench.args
    rows: Rows = []
    for kind in ('pretrain', 'vqa'):
        name = title(bench, kind)
        if kind == 'vqa':  # the official code has one question per image
            name = name.replace(f'{args.sentences} sentences', '1 question')
        rows += rows_of(
            name,
            race(
                args,
                dict(
                    ours=Candidate(our_step, (kind,)),
                    **published(args, 'official', their_step, kind, dtype=published_dtype(args, kind == 'pretrain')),
                ),
            ),
        )
    best = dict(ours=0.0, official=0.0)
    for images in (1, *args.batches):
        results = race(
            args,
            dict(
                ours=Candidate(our_answers, (images,)),
                **published(args, 'official', their_answers, images, dtype='float32'),
            ),
        )
        rows += rows_of(f'vqa inference at {args.size[0]}x{args.size[1]}, batch {images}', results)
        for who in best:
            best[who] = max(best[who], images / results[who].seconds['whole'])
    name = f'vqa inference at {args.size[0]}x{args.size[1]}, best batch'
    rows += [(f'{name}: {who}, {results[who].dtype}', rate, 'answers/s') for who, rate in best.items()]
    return [*rows, (f'{name}: faster than official', best['ours'] / best['official'], 'times')]


def our_step(bench: Bench, kind: str) -> Calls:
    """Return our training step in two parts."""
    step = Step(bench, kind, batch_of(bench, kind))
    return {FIRST: step.gradients, SECOND: step.update}


def their_step(bench: Bench, kind: str) -> Calls:
    """Return the official training step in two parts."""
    official = OfficialSOHO(bench, kind, batch_of(bench, kind)).train()
    return {FIRST: official.gradients, SECOND: official.update}


def our_answers(bench: Bench, images: int) -> Calls:
    """Return our inference with one question per image."""
    return dict(predict=Prediction(bench, 'vqa', images))


def their_answers(bench: Bench, images: int) -> Calls:
    """Return the official inference with one question per image."""
    batch = random_batch('vqa', recipe('vqa'), images, 1, bench.args.size)
    return dict(predict=OfficialSOHO(bench, 'vqa', batch).train(False).predict)


def batch_of(bench: Bench, kind: str) -> dict[str, Tensor]:
    """Return a random batch, the same for both."""
    args = bench.args
    return random_batch(kind, recipe(kind), args.images, args.sentences if kind == 'pretrain' else 1, args.size)
