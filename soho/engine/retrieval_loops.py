"""Validation and test of image-text retrieval: every pair of the data set is scored."""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.runner import TestLoop, ValLoop
from mmengine.runner.amp import autocast
from torch import Tensor

from soho.datasets.retrieval import RetrievalDataset
from soho.engine.distributed import unwrap_model
from soho.errors import UserError
from soho.evaluation.pair_scores import Captions, score_images, score_pairs
from soho.evaluation.retrieval import chosen_pairs, rerank
from soho.evaluation.score_matrix import ScoreMatrix, scores_digest
from soho.models.heads.retrieval import RetrievalHead
from soho.ranks import wait_for_all_ranks
from soho.registry import LOOPS

MESSAGE_EVERY = 30.0  # seconds

Score = Callable[[dict[str, Tensor], Captions, np.ndarray], Tensor]
"""Function of a batch of B images, T captions and (B, T) bool, the pairs that are not scored yet, to (B, T) scores."""


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
        top_captions: ``None``: the exact protocol. A number: all pairs are first scored with few visual tokens, and
            for each image so many captions, the best by that score, are scored exactly and stand before the others.
            That first pass is no two-tower one: SOHO has no tower of text whose vectors could be compared, so that
            all I x T pairs still go through the transformer, each for a fraction of the exact cost.
        top_images: The same for the images of each caption.
        pool: How many neighbouring visual tokens are averaged to one for that first score.
        **kwargs: See mmengine's ValLoop and TestLoop. Scores are computed in float32 unless ``fp16`` is set.
    """

    split: str
    runner: Any
    dataloader: Any
    evaluator: Any
    fp16: bool

    def __init__(
        self,
        *args,
        pairs: int = 4096,
        head: str = 'itm',
        keep_scores: bool = False,
        pool: int = 8,
        top_captions: int | None = None,
        top_images: int | None = None,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        if (top_captions is None) != (top_images is None):
            raise UserError('top_captions and top_images of a retrieval loop go together: give both, or neither')
        self.pairs = pairs
        self.head = head
        self.keep_scores = keep_scores
        self.pool = pool
        self.top = None if top_captions is None or top_images is None else (top_captions, top_images)

    def run(self) -> dict[str, float]:
        """Score the pairs; returns the metrics."""
        call_hook = self.runner.call_hook
        call_hook(f'before_{self.split}')
        call_hook(f'before_{self.split}_epoch')
        self.runner.model.eval()
        dataset = self._check_parts()
        ids, attention, owner = dataset.encode_captions()
        loader = self.runner.cfg[f'{self.split}_dataloader']
        settings = loader.dataset.pipeline, loader.get('collate_fn'), self.fp16
        digest = scores_digest(self.model, dataset, (ids, attention), *settings)
        captions = Captions.of(ids, attention, self.model.data_preprocessor.device)
        if self.top is None:
            exact = self._matrix(digest, len(dataset), len(owner))
            self._fill(exact, captions, self._score_all(1))
            matrices, scores = [exact], dict(scores=exact.values)
        else:
            matrices, scores = self._rerank(digest, captions, len(dataset))
        if is_main_process():
            prediction = {name: torch.from_numpy(value) for name, value in scores.items()}
            self.evaluator.process([dict(prediction, caption_to_image=torch.from_numpy(owner))], {})
        metrics = self.evaluator.evaluate(len(dataset))
        for matrix in [] if self.keep_scores else matrices:
            matrix.remove()
        call_hook(f'after_{self.split}_epoch', metrics=metrics)
        call_hook(f'after_{self.split}')
        return metrics

    @property
    def model(self) -> Any:
        return unwrap_model(self.runner.model)

    def _check_parts(self) -> RetrievalDataset:
        """Return the data set.

        Raises:
            UserError: It is none of retrieval, or the model has no such head.
        """
        dataset = self.dataloader.dataset
        if not isinstance(dataset, RetrievalDataset) or not dataset.test_mode:
            raise UserError(
                f'{self.split}_dataloader of the config has to read a RetrievalDataset with test_mode=True, since '
                f'{type(self).__name__} scores its images with all its captions'
            )
        heads = self.model.heads
        if self.head not in heads or not isinstance(heads[self.head], RetrievalHead):
            raise UserError(f'the model has no RetrievalHead called {self.head!r}; it has {", ".join(heads)}')
        if self.top is not None and self.model.backbone is None:
            raise UserError('top_captions and top_images choose by visual tokens, and this model has no image branch')
        return dataset

    def _matrix(self, name: str, images: int, captions: int, chosen: np.ndarray | None = None) -> ScoreMatrix:
        return ScoreMatrix(Path(self.runner.work_dir, f'retrieval_scores_{name}.npy'), images, captions, chosen)

    def _rerank(self, digest: str, captions: Captions, images: int) -> tuple[list[ScoreMatrix], dict[str, np.ndarray]]:
        """Scores of all pairs from few visual tokens, then exact scores of the best of them, for both directions."""
        assert self.top is not None
        fast = self._matrix(f'{digest}_pool{self.pool}', images, len(captions))
        self._fill(fast, captions, self._score_all(self.pool))
        chosen = np.logical_or(*chosen_pairs(fast.values, *self.top)) if is_main_process() else None
        name = '_'.join(map(str, (digest, 'top', self.pool, *self.top)))
        slow = self._matrix(name, images, len(captions), chosen)

        def score(batch: dict[str, Tensor], captions: Captions, missing: np.ndarray) -> Tensor:
            head, wanted = self.model.heads[self.head], torch.from_numpy(missing)
            return score_pairs(self.model, head, batch, captions, self.pairs, wanted)

        self._fill(slow, captions, score)
        if not is_main_process():
            return [fast, slow], {}
        by_text, by_image = rerank(fast.values, slow.values, *self.top)
        return [fast, slow], dict(scores=by_text, image_scores=by_image)

    def _score_all(self, pool: int) -> Score:
        def score(batch: dict[str, Tensor], captions: Captions, missing: np.ndarray) -> Tensor:
            return score_images(self.model, self.model.heads[self.head], batch, captions, self.pairs, pool)

        return score

    def _fill(self, matrix: ScoreMatrix, captions: Captions, score: Score) -> None:
        """Score the rows of this rank's images that are still missing; returns when all ranks are done."""
        progress = Progress(len(self.dataloader))
        for number, batch in enumerate(self.dataloader):
            self.runner.call_hook(f'before_{self.split}_iter', batch_idx=number, data_batch=batch)
            rows = batch['image_index'].numpy()
            missing = matrix.missing(rows)
            count = int(missing.sum())
            if count:
                with torch.no_grad(), autocast(enabled=self.fp16):
                    matrix.write(rows, score(self.model.data_preprocessor(batch), captions, missing))
            progress.add(count)
            self.runner.call_hook(f'after_{self.split}_iter', batch_idx=number, data_batch=batch, outputs=[])
        progress.finish()
        wait_for_all_ranks()


class Progress:
    """Messages about how many images are scored and about the time left, at most every half minute.

    Args:
        batches: Batches of images of this rank.
    """

    def __init__(self, batches: int) -> None:
        self.batches = batches
        self.done = self.scored = self.pairs = 0
        self.started = self.shown = time.monotonic()

    def add(self, pairs: int) -> None:
        """A batch is done, with so many pairs that had to be scored; 0 where an earlier run had done it."""
        self.done += 1
        self.scored += bool(pairs)
        self.pairs += pairs
        if pairs and time.monotonic() - self.shown > MESSAGE_EVERY:
            self.shown = time.monotonic()
            left = (self.shown - self.started) / self.scored * (self.batches - self.done)
            self._log_progress(f', {timedelta(seconds=round(left))} left')

    def finish(self) -> None:
        """Log the rate over all pairs."""
        self._log_progress('')

    def _log_progress(self, rest: str) -> None:
        earlier = self.done - self.scored
        rate = self.pairs / max(time.monotonic() - self.started, 1e-9)
        print_log(
            f'scored {self.done} of {self.batches} batches of images'
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
