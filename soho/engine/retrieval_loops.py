"""Validation and test of image-text retrieval: every pair of the data set is scored."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.runner import TestLoop, ValLoop
from mmengine.runner.amp import autocast
from torch import Tensor

from soho.datasets.retrieval import RetrievalDataset
from soho.engine.distributed import unwrap_model
from soho.errors import UserError
from soho.evaluation.evaluator import wait_for_all_ranks
from soho.evaluation.pair_scores import Captions, ScoreMatrix, score_images, scores_digest
from soho.models.heads.retrieval import RetrievalHead
from soho.registry import LOOPS

MESSAGE_EVERY = 30.0  # seconds


class PairScoringLoop:
    """Loop over the images of a :class:`RetrievalDataset`, each scored with all captions of the data set.

    A rank encodes its share of the images once and writes their rows of scores into one file in the work dir; a run
    that was stopped goes on with the next image when it is started again with the same weights. The main rank then
    hands the whole matrix to the metrics.

    Args:
        pairs: Image-caption pairs that go through the transformer together.
        head: Name of the :class:`RetrievalHead` in the model.
        keep_scores: Whether the matrix stays on the disk (``retrieval_scores_DIGEST.npy``, 500 MB for COCO's test
            images) after the metrics are computed.
        **kwargs: See mmengine's ValLoop and TestLoop. Scores are computed in float32 unless ``fp16`` is set.
    """

    split: str
    runner: Any
    dataloader: Any
    evaluator: Any
    fp16: bool

    def __init__(self, *args, pairs: int = 4096, head: str = 'itm', keep_scores: bool = False, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.pairs = pairs
        self.head = head
        self.keep_scores = keep_scores

    def run(self) -> dict[str, float]:
        """Score all pairs; returns the metrics."""
        call_hook = self.runner.call_hook
        call_hook(f'before_{self.split}')
        call_hook(f'before_{self.split}_epoch')
        self.runner.model.eval()
        dataset = self.dataloader.dataset
        if not isinstance(dataset, RetrievalDataset) or not dataset.test_mode:
            raise UserError(
                f'{self.split}_dataloader of the config has to read a RetrievalDataset with test_mode=True, since '
                f'{type(self).__name__} scores its images with all its captions'
            )
        ids, attention, owner = dataset.encode_captions()
        model = unwrap_model(self.runner.model)
        loader = self.runner.cfg[f'{self.split}_dataloader']
        digest = scores_digest(
            model, dataset, (ids, attention), loader.dataset.pipeline, loader.get('collate_fn'), self.fp16
        )
        path = Path(self.runner.work_dir, f'retrieval_scores_{digest}.npy')
        matrix = ScoreMatrix(path, len(dataset), len(owner))
        self._fill(matrix, Captions.of(ids, attention, model.data_preprocessor.device))
        wait_for_all_ranks()
        if is_main_process():
            scores = dict(scores=torch.from_numpy(matrix.values), caption_to_image=torch.from_numpy(owner))
            self.evaluator.process([scores], {})
        metrics = self.evaluator.evaluate(len(dataset))
        if not self.keep_scores:
            matrix.remove()
        call_hook(f'after_{self.split}_epoch', metrics=metrics)
        call_hook(f'after_{self.split}')
        return metrics

    def _fill(self, matrix: ScoreMatrix, captions: Captions) -> None:
        """Score the rows of this rank's images that are still missing."""
        model = unwrap_model(self.runner.model)
        head = model.heads[self.head] if self.head in model.heads else None
        if not isinstance(head, RetrievalHead):
            raise UserError(f'the model has no RetrievalHead called {self.head!r}; it has {", ".join(model.heads)}')
        progress = Progress(len(self.dataloader), len(captions))
        for number, batch in enumerate(self.dataloader):
            self.runner.call_hook(f'before_{self.split}_iter', batch_idx=number, data_batch=batch)
            rows = batch['image_index'].numpy()
            missing = matrix.missing(rows).any()
            if missing:
                matrix.write(rows, self._score(model, head, batch, captions))
            progress.add(len(rows) if missing else 0)
            self.runner.call_hook(f'after_{self.split}_iter', batch_idx=number, data_batch=batch, outputs=[])
        progress.finish()

    def _score(self, model: Any, head: RetrievalHead, batch: dict[str, Tensor], captions: Captions) -> Tensor:
        with torch.no_grad(), autocast(enabled=self.fp16):
            return score_images(model, head, model.data_preprocessor(batch), captions, self.pairs)


class Progress:
    """Messages about how many images are scored and about the time left, at most every half minute.

    Args:
        batches: Batches of images of this rank.
        captions: T.
    """

    def __init__(self, batches: int, captions: int) -> None:
        self.batches, self.captions = batches, captions
        self.done = self.scored = self.images = 0
        self.started = self.shown = time.monotonic()

    def add(self, images: int) -> None:
        """A batch is done, with ``images`` that had to be scored; 0 where an earlier run had done it."""
        self.done += 1
        self.scored += bool(images)
        self.images += images
        if images and time.monotonic() - self.shown > MESSAGE_EVERY:
            self.shown = time.monotonic()
            left = (self.shown - self.started) / self.scored * (self.batches - self.done)
            self._say(f', {timedelta(seconds=round(left))} left')

    def finish(self) -> None:
        """Say the rate of the whole."""
        self._say('')

    def _say(self, rest: str) -> None:
        rate = self.images * self.captions / max(time.monotonic() - self.started, 1e-9)
        earlier = self.done - self.scored
        print_log(
            f'scored {self.done} of {self.batches} batches of images with {self.captions} captions'
            + (f' ({earlier} by an earlier run)' if earlier else '')
            + f', {rate:.0f} pairs a second{rest}',
            'current',
        )


@LOOPS.register_module()
class RetrievalValLoop(PairScoringLoop, ValLoop):
    """Validation; see :class:`PairScoringLoop`."""

    split = 'val'


@LOOPS.register_module()
class RetrievalTestLoop(PairScoringLoop, TestLoop):
    """Test; see :class:`PairScoringLoop`."""

    split = 'test'
