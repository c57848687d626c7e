"""The visual dictionary against plain loops, and the neck around it."""

import numpy as np
import pytest
import torch

from soho.models.necks.positions import count_valid_cells, valid_cells
from soho.registry import MODELS


def dictionary(num_words=6, dim=4, **options):
    return MODELS.build(dict(type='VisualDictionary', num_words=num_words, dim=dim, **options))


def nearest_by_loop(features, words):
    return [min(range(len(words)), key=lambda k: float((feature - words[k]).square().sum())) for feature in features]


def test_the_nearest_word_is_taken():
    vq = dictionary().eval()
    features = torch.randn(50, 4)
    quantized, indices = vq(features)
    assert indices.tolist() == nearest_by_loop(features, vq.embed)
    torch.testing.assert_close(quantized, vq.embed[indices])


def test_the_lowest_of_equally_near_words_is_taken():
    vq = dictionary().eval()
    vq.embed[3] = vq.embed[1]
    assert vq.nearest(vq.embed).tolist() == [0, 1, 2, 1, 4, 5]


class LoopDictionary:
    """Moving averages word by word, as VQ-VAE's appendix A.1 and the official code have them."""

    def __init__(self, vq):
        self.words = vq.embed.double().clone()
        self.count = [0.0] * len(self.words)
        self.total = torch.zeros_like(self.words)
        self.decay, self.eps, self.vq = vq.decay, vq.eps, vq

    def update(self, features, counted, weight):
        chosen = nearest_by_loop(features, self.words.float())
        for k in range(len(self.words)):
            mine = [f.double() * weight for f, c, ok in zip(features, chosen, counted) if c == k and ok]
            self.count[k] = self.decay * self.count[k] + (1 - self.decay) * weight * len(mine)
            self.total[k] = self.decay * self.total[k] + (1 - self.decay) * sum(mine, torch.zeros(4).double())
        n, k = sum(self.count), len(self.words)
        for word in range(k):
            if self.vq.unused_words == 'zero' or self.count[word] > self.vq.restart_below:
                size = (self.count[word] + self.eps) / (n + k * self.eps) * n
                self.words[word] = self.total[word] / size
        return chosen


@pytest.mark.parametrize('unused_words', ['keep', 'zero'])
@pytest.mark.parametrize('weight', [1.0, 4.0])
def test_words_follow_their_features_by_a_moving_average(unused_words, weight):
    vq = dictionary(decay=0.4, unused_words=unused_words).train()
    loop = LoopDictionary(vq)
    for _ in range(4):
        features, counted = torch.randn(12, 4), torch.rand(12) < 0.7
        old = vq.embed.clone()
        quantized, indices = vq(features, counted, weight)
        assert indices.tolist() == loop.update(features, counted, weight) == nearest_by_loop(features, old)
        torch.testing.assert_close(vq.embed.double(), loop.words, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(quantized, vq.embed[indices])


def far_away(num_features=20):
    """Features around one point; of the words only the first is near."""
    vq = dictionary().train()
    vq.embed[1:] += 100
    return vq, torch.randn(num_features, 4) * 0.1 + vq.embed[0]


@pytest.mark.parametrize('unused_words', ['keep', 'zero', 'restart'])
def test_what_becomes_of_unused_words(unused_words):
    vq, features = far_away()
    vq.unused_words = unused_words
    before = vq.embed.clone()
    vq(features)
    torch.testing.assert_close(vq.embed[0], features.mean(0), rtol=1e-3, atol=1e-3)
    if unused_words == 'keep':
        assert vq.embed[1:].equal(before[1:])
    if unused_words == 'zero':
        assert not vq.embed[1:].any()
    if unused_words == 'restart':
        assert all((features == word).all(1).any() for word in vq.embed[1:])
        assert len(vq(features)[1].unique()) > 1


def test_restarted_words_are_never_padding():
    vq, features = far_away()
    vq.unused_words = 'restart'
    counted = torch.arange(20) % 5 == 0
    vq(features, counted)
    assert all((features[counted] == word).all(1).any() for word in vq.embed[1:])
    vq(features, torch.zeros(20, dtype=torch.bool))  # a batch without any feature that counts
    assert vq.embed.isfinite().all()


@pytest.mark.parametrize('unused_words', ['keep', 'zero', 'restart'])
@pytest.mark.parametrize('value', [float('inf'), float('-inf'), float('nan'), 3e38])
def test_features_that_are_not_finite_change_nothing(unused_words, value):
    (vq, features), words = far_away(), []
    vq.unused_words = unused_words
    start = {name: buffer.clone() for name, buffer in vq.named_buffers()}
    for extra in (features[:0], features.new_tensor([[1, value, 1, 1], [value] * 4])):
        vq.load_state_dict(start)
        vq(torch.cat([features, extra]))
        words.append({name: buffer.clone() for name, buffer in vq.named_buffers()})
    assert all(words[1][name].equal(buffer) for name, buffer in words[0].items())


@pytest.mark.parametrize('unused_words', ['keep', 'zero', 'restart'])
@pytest.mark.parametrize('updates', [0, 2])
def test_a_batch_that_does_not_count_leaves_the_dictionary_as_it_is(unused_words, updates):
    vq = dictionary(unused_words=unused_words).train()
    features = torch.randn(20, 4)
    for _ in range(updates):
        vq(features)
    before = {name: buffer.clone() for name, buffer in vq.named_buffers()}
    vq(torch.full((20, 4), torch.inf))
    vq(features, torch.zeros(20, dtype=torch.bool))
    assert all(buffer.equal(before[name]) for name, buffer in vq.named_buffers())


def test_the_gradient_passes_straight_through():
    vq = dictionary().train()
    features = torch.randn(10, 4, requires_grad=True)
    quantized, _ = vq(features)
    upstream = torch.randn(10, 4)
    quantized.backward(upstream)
    assert features.grad.equal(upstream)
    assert not list(vq.parameters())


def test_evaluation_moves_no_word():
    vq = dictionary().eval()
    before = {name: value.clone() for name, value in vq.named_buffers()}
    vq(torch.randn(10, 4))
    assert all(value.equal(before[name]) for name, value in vq.named_buffers())


def test_float32_under_autocast():
    """The look-up is that of float32: in bfloat16 these two words have one distance."""
    vq = dictionary(num_words=2, dim=2).train()
    vq.embed.copy_(torch.tensor([[100.0, 1.0], [100.0, 1.2]]))
    features = torch.tensor([[100.0, 1.15]], requires_grad=True)
    with torch.autocast('cpu', torch.bfloat16):
        quantized, indices = vq(features)
        half, _ = vq(features.bfloat16())
    assert indices.tolist() == [1]
    assert quantized.dtype == half.dtype == vq.embed.dtype == torch.float32


def test_unknown_way_with_unused_words():
    with pytest.raises(ValueError, match="unused_words is 'drop'; choose one of"):
        dictionary(unused_words='drop')


def neck(**options):
    return MODELS.build(
        dict(
            dict(type='DictionaryNeck', in_channels=6, out_channels=8, pool=1, dictionary=dict(num_words=5)), **options
        )
    )


CANVAS, SIZES = (32, 48), torch.tensor([[32, 20], [17, 48]])  # 4 x 6 cells of 8 pixels


@pytest.mark.parametrize('gated', [True, False])
@pytest.mark.parametrize('align_input', [True, False])
@pytest.mark.parametrize('align_output', [True, False])
def test_all_forms_of_the_neck(gated, align_input, align_output):
    net = neck(gated=gated, align_input=align_input, align_output=align_output).train()
    seen = net(torch.randn(2, 6, 4, 6), SIZES, CANVAS)
    assert seen.tokens.shape == (2, 1, 24, 8) and seen.labels is None
    seen.tokens.square().sum().backward()
    names = {name.split('.')[0] for name, p in net.named_parameters() if p.grad is not None}
    assert ('gate' in names, 'align_input' in names, 'align_output' in names) == (gated, align_input, align_output)


def test_cells_on_the_image_are_valid():
    valid = neck()(torch.randn(2, 6, 4, 6), SIZES, CANVAS).valid.view(2, 4, 6)
    assert valid[0].tolist() == [[True] * 3 + [False] * 3] * 4  # 20 pixels reach into the third cell of 8
    assert valid[1].tolist() == [[True] * 6] * 3 + [[False] * 6]


def test_a_cell_is_valid_if_the_pixel_at_its_rounded_down_start_is():
    (valid,) = valid_cells(torch.tensor([[8, 22]]), canvas=(30, 30), grid=(4, 4))  # pixels 0, 7, 15 and 22
    assert valid.tolist() == [[True, True, True, False]] * 2 + [[False] * 4] * 2
    assert count_valid_cells(np.array([[8, 22]]), (30, 30), (4, 4)).tolist() == [[2, 3]]


def test_cells_are_counted_as_they_are_marked():
    rng = np.random.default_rng(0)
    for _ in range(200):
        canvas = tuple(rng.integers(16, 1400, 2).tolist())
        grid = tuple(max(1, side // int(rng.choice([8, 16, 32])) + int(rng.integers(2))) for side in canvas)
        size = np.stack([rng.integers(1, side + 1, 5) for side in canvas], axis=1)
        valid = valid_cells(torch.from_numpy(size), canvas, grid)
        marked = torch.stack([valid.any(2).sum(1), valid.any(1).sum(1)], 1)
        assert (marked.numpy() == count_valid_cells(size, canvas, grid)).all()


@pytest.mark.parametrize('share', [0.0, 0.3, 0.999])
def test_the_drawn_cells_word_is_hidden_in_all_valid_cells_of_the_asked_sentences(share):
    net = neck().eval()
    feature = torch.randn(2, 6, 4, 6)
    rows = torch.tensor([[True, False, True], [False, True, False]])
    seen = net(feature, SIZES, CANVAS, mvm_cell=torch.full((2,), share), mvm_sentences=rows)
    plain = net(feature, SIZES, CANVAS)
    masked_token = net.ln(net.mask_emb.weight + net.locate(SIZES, CANVAS, (4, 6))[1])
    for image in range(2):
        valid = seen.valid[image].nonzero().flatten()
        word = seen.words[image, valid[int(share * len(valid))]]
        hidden = seen.valid[image] & (seen.words[image] == word)
        for sentence in range(3):
            here = hidden & rows[image, sentence]
            labels = seen.labels[image, sentence]
            assert labels.equal(torch.where(here, word, -100))
            expected = torch.where(here[:, None], masked_token[image], plain.tokens[image, 0])
            torch.testing.assert_close(seen.tokens[image, sentence], expected)


def test_only_cells_on_the_image_move_the_dictionary_unless_asked():
    feature = torch.randn(2, 6, 4, 6)
    for count_padding, total in ((False, 3 * 4 + 6 * 3), (True, 2 * 24)):
        net = neck(count_padding=count_padding).train()
        net(feature, SIZES, CANVAS)
        assert net.vq.cluster_sum.sum() == total


def test_the_official_mask_follows_a_square():
    wide = neck(square_mask=True).eval()(torch.randn(2, 6, 4, 6), SIZES, CANVAS).valid.view(2, 4, 6)
    assert wide[0].sum() == 4 * 4 and wide[1].sum() == 3 * 6


def test_officially_nothing_is_hidden_in_an_image_for_which_the_cell_is_padding():
    net = neck(shared_cell=True).eval()
    feature = torch.zeros(2, 6, 4, 6)  # all cells have one word
    for cell, expected in ((20, [3 * 4, 0]), (2, [3 * 4, 6 * 3]), (4, [0, 6 * 3])):
        share = torch.tensor([(cell + 0.5) / 24, 0.0])  # of the first image's number alone
        seen = net(feature, SIZES, CANVAS, mvm_cell=share, mvm_sentences=torch.ones(2, 1, dtype=torch.bool))
        assert (seen.labels >= 0).sum((1, 2)).tolist() == expected


@pytest.mark.parametrize('first', [True, False])
def test_the_gate_s_first_score_is_the_word_s_and_its_second_the_feature_s(first):
    net = neck().eval()
    torch.nn.init.zeros_(net.gate.norm.weight)
    net.gate.norm.bias.data.copy_(torch.tensor([30.0, -30.0] if first else [-30.0, 30.0]))
    feature = torch.randn(2, 6, 4, 6)
    seen = net(feature, SIZES, CANVAS)
    (cells, grid), words = net.project(feature), net.align_output(net.dictionary[seen.words])
    _, positions = net.locate(SIZES, CANVAS, grid)
    torch.testing.assert_close(seen.tokens[:, 0], net.ln((words if first else cells) + positions))
