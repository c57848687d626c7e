"""Evaluation of image-text retrieval: every pair once, on disk, and the same as scoring pair by pair."""

from pathlib import Path

import numpy as np
import pytest
import torch

from soho.datasets import samplers
from soho.engine import Runner
from soho.evaluation.retrieval import evaluate_retrieval
from soho.evaluation.score_matrix import ScoreMatrix


@pytest.fixture
def config(tiny_config, synthetic):
    """The small model with a retrieval head on the eight validation pictures of the tiny data set."""

    def make(**changes):
        cfg = tiny_config('vqa')
        tokenizer = dict(vocab=str(synthetic / 'vocab.txt'), max_length=24)
        pipeline = [
            dict(type='LoadImage', reduce_to=(64, 48)),
            dict(type='ResizeKeepRatio', scale=(64, 48)),
            dict(type='Tokenize', tokenizer=tokenizer),
            dict(type='PackSample', keys=['itm_labels', 'image_index']),
        ]
        cfg.model.heads = dict(itm=dict(type='RetrievalHead', hidden_size=32))
        cfg.test_dataloader.dataset = dict(
            type='RetrievalDataset',
            data_root=str(synthetic),
            ann_file='coco_cap_val_pre.json',
            images='val2014',
            test_mode=True,
            pipeline=pipeline,
        )
        cfg.train_dataloader.dataset = dict(cfg.test_dataloader.dataset, test_mode=False, negatives=3)
        cfg.test_cfg = dict(type='RetrievalTestLoop', pairs=32, keep_scores=True)
        cfg.test_evaluator = dict(type='RetrievalRecall', folds=2)
        cfg.merge_from_dict(changes)
        return cfg

    return make


def paths(runner):
    return list(Path(runner.work_dir).glob('retrieval_scores_*.npy'))


def test_the_matrix_is_that_of_scoring_pair_by_pair(config):
    runner = Runner.from_cfg(config())
    metrics = runner.test()
    (scores,) = map(np.load, paths(runner))
    dataset = runner.test_dataloader.dataset
    ids, attention, owner = dataset.encode_captions()
    assert scores.shape == (8, len(owner)) and scores.dtype == np.float32
    expected = evaluate_retrieval(scores, owner)
    assert {name: metrics[name] for name in expected} == expected and 'folds/rsum' in metrics

    model, collate = runner.model, runner.test_dataloader.collate_fn
    for image, caption in ((0, 0), (3, 17), (7, 39)):  # both sides again for the pair, as peers do
        sample = dict(dataset[image], input_ids=ids[caption : caption + 1], attention_mask=attention[caption][None])
        with torch.no_grad():
            found = model(mode='predict', **model.data_preprocessor(collate([sample])))[0]['match_score']
        assert scores[image, caption] == pytest.approx(found.item(), abs=1e-4)


def test_a_stopped_run_goes_on_and_other_weights_start_anew(config, monkeypatch):
    runner = Runner.from_cfg(config())
    first = runner.test()
    (path,) = paths(runner)
    whole = np.load(path)
    batches = [batch['image_index'].tolist() for batch in runner.test_dataloader]
    stopped = np.load(path, mmap_mode='r+')
    stopped[batches[1][0]] = np.nan
    stopped[batches[2][0], 3:] = np.nan
    stopped.flush()
    counted = []

    def score(model, head, batch, captions, pairs, pool):
        counted.extend(batch['image_index'].tolist())
        return torch.from_numpy(whole[batch['image_index']])

    monkeypatch.setattr('soho.engine.retrieval_loops.score_images', score)
    with pytest.warns(UserWarning, match='images are scored again'):
        assert runner.test() == first
    assert counted == batches[1] + batches[2]  # nothing is missing in the first batch
    with torch.no_grad():
        runner.model.heads['itm'].match_class.weight[1].neg_()
    counted.clear()
    runner.test()
    assert sorted(counted) == list(range(8)) and len(paths(runner)) == 2


def test_a_row_with_a_turned_bit_is_scored_again(tmp_path):
    path, values = tmp_path / 'scores.npy', torch.randn(4, 5)
    chosen = np.ones((4, 5), bool)
    chosen[2, 3] = False
    ScoreMatrix(path, 4, 5, chosen).write(np.arange(4), values)
    content = bytearray(path.read_bytes())
    content[-2 * 5 * 4 + 1] ^= 1 << 3  # in the first score of row 2
    path.write_bytes(content)
    with pytest.warns(UserWarning, match='1 of 4 images are scored again'):
        matrix = ScoreMatrix(path, 4, 5, chosen)
    assert matrix.missing(np.arange(4)).sum(1).tolist() == [0, 0, 4, 0] and matrix.values[2, 3] == -np.inf
    matrix.write(np.array([2]), values[2:3])
    np.testing.assert_array_equal(ScoreMatrix(path, 4, 5).values, values.numpy())

    matrix.sums_path.unlink()
    assert ScoreMatrix(path, 4, 5).missing(np.arange(4)).all()
    matrix.remove()
    assert not list(tmp_path.iterdir())


def test_ranks_fill_the_rows_of_their_own_images(config, monkeypatch):
    whole = Runner.from_cfg(config())
    expected = whole.test()
    images = []
    for rank in range(2):
        monkeypatch.setattr(samplers, 'get_dist_info', lambda rank=rank: (rank, 2))
        cfg = config(test_cfg=dict(type='RetrievalTestLoop', keep_scores=True))
        cfg.work_dir = str(Path(whole.work_dir, 'shared'))
        runner = Runner.from_cfg(cfg)
        runner.model.load_state_dict(whole.model.state_dict())
        images.append([i for batch in runner.test_dataloader for i in batch['image_index'].tolist()])
        if rank == 0:
            with pytest.raises(ValueError, match='scores are not numbers'):  # the other half is not there yet
                runner.test()
        else:
            assert runner.test() == pytest.approx(expected)
    assert sorted(images[0] + images[1]) == list(range(8)) and images[0] and images[1]


def test_without_the_image_nothing_is_found(config):
    parts = {'model.backbone': None, 'model.neck': None}
    cfg = config(**parts, optim_wrapper=dict(_delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3)))
    metrics = Runner.from_cfg(cfg).test()
    # All pictures are alike to it: the worst order of equal scores, and the best.
    assert metrics['img_r1'] == 0 and metrics['img_r1_best'] == 100
    assert metrics['txt_r1'] <= 100 / 8


def test_reranking_orders_the_best_by_the_exact_score(config):
    exact = Runner.from_cfg(config())
    expected = exact.test()
    (whole,) = map(np.load, paths(exact))

    def reranked(**options):
        cfg = config(test_cfg=dict(type='RetrievalTestLoop', pairs=7, keep_scores=True, **options))
        cfg.work_dir += '_reranked'
        runner = Runner.from_cfg(cfg)
        runner.model.load_state_dict(exact.model.state_dict())
        return runner.test(), {path.stem.rpartition('_top_')[2]: np.load(path) for path in paths(runner)}

    # Everything is chosen: the exact protocol.
    metrics, _ = reranked(pool=4, top_captions=40, top_images=8)
    assert metrics == pytest.approx(expected)
    _, scores = reranked(pool=4, top_captions=5, top_images=2)
    chosen = np.isfinite(scores['4_5_2'])
    assert (chosen.sum(1) >= 5).all() and (chosen.sum(0) >= 2).all() and chosen.sum() <= 8 * 5 + 40 * 2
    np.testing.assert_allclose(scores['4_5_2'][chosen], whole[chosen], rtol=1e-4, atol=1e-4)


def test_the_matrix_goes_once_it_is_used(config):
    runner = Runner.from_cfg(config(**{'test_cfg.keep_scores': False}))
    runner.test()
    assert not paths(runner)


def test_wrong_configs_get_a_sentence(config):
    for changes, said in (
        ({'test_dataloader.dataset.test_mode': False}, 'RetrievalDataset with test_mode=True'),
        ({'test_cfg.head': 'vqa'}, "no RetrievalHead called 'vqa'; it has itm"),
    ):
        with pytest.raises(ValueError, match=said):
            Runner.from_cfg(config(**changes)).test()
