"""What nobody looks at is not computed: same losses, same gradients."""

import pytest
import torch

from soho.models.target_positions import cache_target_positions, target_positions


def learn(model, batch):
    losses = model(mode='loss', **batch)
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    # In float32 the CNN's gradients, sums that nearly cancel, follow the rounding of those of its features.
    return losses, {name: p.grad for name, p in model.named_parameters() if not name.startswith('backbone')}


@pytest.mark.parametrize('hidden', [0.0, 0.5, 1.0])
@pytest.mark.parametrize('task', ['pretrain', 'vqa'])
def test_the_last_layer_where_heads_look_learns_what_the_whole_layer_does(
    task, hidden, make_model, make_batch, preprocess, monkeypatch
):
    batch = make_batch()
    batch['mvm_sentences'] = torch.rand(batch['mvm_sentences'].shape) < hidden
    batch['mlm_labels'][torch.rand(batch['mlm_labels'].shape) >= hidden] = -100
    results = []
    for whole in (False, True):
        torch.manual_seed(0)
        model = make_model(task).train()
        if whole:
            for head in model.heads.values():
                monkeypatch.setattr(head, 'output_positions', lambda *_: None)
        results.append(learn(model, preprocess(model, batch)))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)


def test_cached_positions_are_those_that_a_search_finds(make_batch, make_caption_batch):
    for batch in (make_batch(), make_caption_batch()):
        cached = cache_target_positions(batch)
        keys = [name.removesuffix('_positions') for name in cached if name not in batch]
        assert keys
        for key in keys:
            assert target_positions(cached, key).equal(target_positions(batch, key)) and len(cached[f'{key}_positions'])
    labels, tokens = torch.tensor([[-100, 0], [3, -100]]), torch.tensor([[1, 5, 2], [1, 2, 0]])
    assert target_positions(dict(mlm_labels=labels), 'mlm_labels').tolist() == [1, 2]
    assert target_positions(dict(caption_tokens=tokens), 'caption_tokens').tolist() == [0, 1, 2]
