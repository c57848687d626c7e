"""The textual side of VirTex: torch's numbers, cached decoding, the backward copy; beam search and sampling."""

import itertools

import pytest
import torch
from torch import nn

from soho.models.decoding.beam_search import BeamSearch
from soho.models.decoding.nucleus_sampling import NucleusSampling
from soho.models.language.transformer_decoder import TransformerDecoder
from soho.registry import MODELS

VOCABULARY, WIDTH = 40, 128
EOS = 2


def build(**changes):
    config = dict(
        type='CaptionTransformer',
        visual_size=6,
        vocab_size=VOCABULARY,
        hidden_size=WIDTH,
        num_layers=2,
        max_length=12,
        initializer_range=0.2,
    )
    language = MODELS.build(dict(config, **changes))
    language.init_weights()
    return language.eval()


@pytest.fixture
def memory():
    return torch.randn(2, 5, WIDTH)


@pytest.mark.parametrize('norm_first', [False, True])
@pytest.mark.parametrize('causal', [False, True])
def test_torchs_decoder_under_the_same_names(norm_first, causal, memory):
    ours = TransformerDecoder(2, WIDTH, num_heads=2, feedforward_size=64, dropout=0.0, norm_first=norm_first).double()
    layer = nn.TransformerDecoderLayer(WIDTH, 2, 64, 0.0, 'gelu', batch_first=True, norm_first=norm_first)
    theirs = nn.TransformerDecoder(layer, 2, nn.LayerNorm(WIDTH) if norm_first else None).double()
    theirs.load_state_dict(ours.state_dict())
    hidden, memory = torch.randn(2, 7, WIDTH, dtype=torch.float64), memory.double()
    lengths = torch.tensor([7, 4])
    valid = torch.arange(7) < lengths[:, None]
    order = torch.ones(7, 7, dtype=torch.bool).tril() if causal else torch.ones(7, 7, dtype=torch.bool)
    expected = theirs(hidden, memory, tgt_mask=~order, tgt_key_padding_mask=~valid)
    output, _, projected = ours(hidden, memory, valid[:, None, None] & order)
    assert ours(hidden, projected, valid[:, None, None] & order)[0].equal(output)
    torch.testing.assert_close(output, expected)


def test_every_matrix_starts_anew_and_the_backward_transformer_as_a_copy():
    torch.manual_seed(0)
    language = build(bidirectional=True, initializer_range=0.02)
    for name, value in language.named_parameters():
        if value.dim() > 1:
            assert value.std().item() == pytest.approx(0.02, rel=0.15), name
    assert not language.embedding.words.weight[0].any()
    backward = language.backward_transformer.state_dict()
    for name, value in language.transformer.state_dict().items():
        assert backward[name].equal(value) and backward[name].data_ptr() != value.data_ptr()
    first, second = (layer.linear1.weight for layer in language.transformer.layers)
    assert not first.equal(second)


def test_directions_differ_in_the_transformer_alone(memory):
    language = build(bidirectional=True)
    tokens, lengths = torch.randint(3, VOCABULARY, (2, 6)), torch.tensor([6, 6])
    forward, backward = (language(memory, tokens, lengths, backward=direction).logits for direction in (False, True))
    assert forward.equal(backward)
    nn.init.zeros_(language.backward_transformer.layers[0].linear2.weight)
    assert language(memory, tokens, lengths).logits.equal(forward)
    assert not language(memory, tokens, lengths, backward=True).logits.equal(forward)


def test_a_causal_position_sees_none_behind_it(memory):
    tokens, lengths = torch.randint(3, VOCABULARY, (2, 6)), torch.tensor([6, 6])
    changed = tokens.clone()
    changed[:, 4] = (tokens[:, 4] + 1) % 30 + 3
    for causal in (True, False):
        language = build(causal=causal)
        before, after = language(memory, tokens, lengths).logits, language(memory, changed, lengths).logits
        assert before[:, :4].allclose(after[:, :4], atol=1e-5) is causal
        assert not before[:, 4].allclose(after[:, 4], atol=1e-2)


def test_padding_changes_nothing_and_has_no_embedding(memory):
    language = build(causal=False)
    tokens, lengths = torch.randint(3, VOCABULARY, (2, 5)), torch.tensor([5, 3])
    tokens[1, 3:] = 0
    longer = torch.cat([tokens, torch.zeros(2, 4, dtype=torch.int64)], dim=1)
    before, after = language(memory, tokens, lengths).logits, language(memory, longer, lengths).logits
    torch.testing.assert_close(after[0, :5], before[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after[1, :3], before[1, :3], rtol=1e-4, atol=1e-5)
    assert not language.embedding(longer)[longer == 0].any()


def test_several_captions_of_an_image_are_as_on_an_image_each(memory):
    language = build()
    tokens, lengths = torch.randint(3, VOCABULARY, (6, 5)), torch.tensor([5, 4, 3, 5, 2, 5])
    apart = language(memory.repeat_interleave(3, 0), tokens, lengths).logits
    torch.testing.assert_close(language(memory, tokens, lengths).logits, apart, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('norm_first', [False, True])
def test_what_is_kept_changes_no_logit(norm_first, memory):
    language = build(norm_first=norm_first)
    tokens = torch.randint(3, VOCABULARY, (2, 6))
    whole = language(memory, tokens, torch.tensor([6, 6])).logits
    step, state = language.make_decode_step(memory), None
    for i, token in enumerate(tokens.unbind(1)):
        logits, state = step(token, state)
        torch.testing.assert_close(logits, whole[:, i], rtol=1e-4, atol=1e-4)


def without_memory(language, memory):
    """The same language model, reading everything again at every step."""

    def step(tokens, state):
        prefix = tokens[:, None] if state is None else torch.cat([state[0], tokens[:, None]], dim=1)
        logits = language(memory, prefix, torch.full((len(prefix),), prefix.size(1))).logits
        return logits[:, -1], [prefix]

    return step


@pytest.mark.parametrize('official', [False, True])
@pytest.mark.parametrize('beam_size', [1, 4])
def test_cached_beam_search_finds_the_same_beams(official, beam_size, memory):
    language = build()
    search = BeamSearch(beam_size, 9, per_node=2 if official else 0, drop_start=official, forbid_repeats=official)
    start = torch.ones(2, dtype=torch.int64)
    tokens, scores = search.search(language.make_decode_step(memory), start)
    again, expected = search.search(without_memory(language, memory), start)
    assert tokens.equal(again)
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-4)


def chain(logits):
    """A language model whose next token follows from the last one: (V, V) logits."""
    return lambda tokens, state: (logits[tokens], [tokens])


def ending_chain(seed, words=7, ending=1.0):
    logits = torch.randn(words, words, generator=torch.Generator().manual_seed(seed)) * 2
    logits[:, EOS] += ending
    return logits


@pytest.mark.parametrize('seed', range(5))
def test_a_beam_as_wide_as_the_vocabulary_misses_nothing_in_two_steps(seed):
    words = 6
    logprobs = ending_chain(seed, words).log_softmax(1)
    texts = {
        (first, second): logprobs[1, first] + (0 if first == EOS else logprobs[first, second])
        for first, second in itertools.product(range(words), repeat=2)
        if first != EOS or second == EOS
    }
    best = max(texts, key=texts.get)
    tokens, scores = BeamSearch(words, 2).search(chain(logprobs), torch.tensor([1]))
    assert tuple(tokens[0, 0].tolist()) == best
    expected = torch.stack(sorted(texts.values(), reverse=True)[:words])
    torch.testing.assert_close(scores[0], expected)


@pytest.mark.parametrize('seed', range(5))
def test_stopping_at_the_best_beam_changes_no_text(seed):
    step, start = chain(ending_chain(seed)), torch.tensor([1, 3, 4])
    calls = []

    def counted(tokens, state):
        calls.append(len(tokens))
        return step(tokens, state)

    search = BeamSearch(4, 20)
    best, score = search(counted, start)
    early = len(calls)
    beams, scores = search.search(counted, start)
    assert early <= len(calls) - early
    assert scores[:, 0].equal(score) and beams[:, 0, : best.size(1)].equal(best)
    assert (beams[:, 0, best.size(1) :] == EOS).all()


@pytest.mark.parametrize('per_node', [1, 2, 5])
def test_a_beam_s_score_is_the_probability_of_its_own_text(per_node):
    logits, start = ending_chain(2), torch.tensor([1, 3])
    tokens, scores = BeamSearch(4, 8, per_node=per_node).search(chain(logits), start)
    logprobs = logits.log_softmax(1)
    for image, first in enumerate(start.tolist()):
        for text, score in zip(tokens[image].tolist(), scores[image].tolist()):
            end = text.index(EOS) + 1 if EOS in text else len(text)
            pairs = zip([first, *text[: end - 1]], text[:end])
            assert score == pytest.approx(sum(logprobs[pair].item() for pair in pairs), rel=1e-5)


def test_images_of_a_batch_are_searched_apart():
    step, start = chain(ending_chain(3)), torch.tensor([1, 3, 4])
    tokens, scores = BeamSearch(3, 8).search(step, start)
    for image in range(3):
        alone, score = BeamSearch(3, 8).search(step, start[image : image + 1])
        assert alone[0].equal(tokens[image, :, : alone.size(2)]) and score[0].equal(scores[image])


def test_forbidding_repeats():
    logits = torch.full((6, 6), -5.0)
    logits[:, 4] = 5.0
    start = torch.tensor([1])
    assert BeamSearch(1, 4)(chain(logits), start)[0].tolist() == [[4, 4, 4, 4]]
    forbidding = BeamSearch(1, 4, forbid_repeats=True)(chain(logits), start)[0][0].tolist()
    assert forbidding[0] == forbidding[2] == 4 and forbidding[1] != 4 != forbidding[3]


def test_a_beam_wider_than_the_vocabulary_is_refused():
    with pytest.raises(ValueError, match='a beam of 9 with 9 continuations per beam needs a vocabulary of at least 9'):
        BeamSearch(9, 4)(chain(ending_chain(0)), torch.tensor([1]))


def test_the_nucleus_is_the_smallest_set_that_holds_its_share():
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    last = torch.tensor([0])
    for share, kept in ((0.0, 1), (0.49, 1), (0.79, 2), (0.9, 3), (0.96, 4)):
        probabilities = NucleusSampling(share).probabilities(logits, last)[0]
        assert probabilities.count_nonzero() == kept
        torch.testing.assert_close(probabilities[:kept], logits[0].exp()[:kept] / logits[0].exp()[:kept].sum())


def test_officially_a_nucleus_of_the_forbidden_token_alone_lets_any_token_come():
    logits = torch.tensor([[0.9, 0.06, 0.04]]).log()
    sampler = NucleusSampling(0.5, forbid_repeats=True)
    assert sampler.probabilities(logits, torch.tensor([0]))[0].tolist() == pytest.approx([1 / 3] * 3)
    assert sampler.probabilities(logits, torch.tensor([1]))[0].tolist() == [1, 0, 0]


def test_sampled_texts_end_and_carry_their_own_probability():
    logits = ending_chain(1, ending=2.0)
    start = torch.tensor([1, 3, 4, 5])
    ids = torch.arange(4)
    tokens, score = NucleusSampling(1.0, max_steps=50, seed=3)(chain(logits), start, ids)
    logprobs = logits.log_softmax(1)
    for text, first, value in zip(tokens.tolist(), start.tolist(), score.tolist()):
        end = text.index(EOS) + 1
        assert set(text[end:]) <= {EOS}
        pairs = zip([first, *text[: end - 1]], text[:end])
        assert value == pytest.approx(sum(logprobs[pair].item() for pair in pairs), rel=1e-4)
    assert NucleusSampling(1.0, max_steps=50, seed=3)(chain(logits), start, ids)[0].equal(tokens)


def test_a_sampled_text_follows_from_the_seed_and_its_image():
    step, sampler = chain(ending_chain(1, words=20)), NucleusSampling(0.9, max_steps=20)

    def texts(ids, sampler=sampler):
        tokens = sampler(step, torch.ones_like(ids), ids)[0]
        return nn.functional.pad(tokens, (0, 20 - tokens.size(1)), value=EOS)

    ids = torch.tensor([7, 581929, 0, 42, 9, 12])
    whole = texts(ids)
    assert whole.unique(dim=0).size(0) > 3  # though all have the same distribution
    assert texts(ids.flip(0)).flip(0).equal(whole)
    assert torch.cat([texts(part) for part in ids.split([1, 3, 2])]).equal(whole)
    assert not texts(ids, NucleusSampling(0.9, max_steps=20, seed=1)).equal(whole)


def test_tokens_are_drawn_as_often_as_they_are_likely_and_others_never():
    shares = torch.tensor([0.0, 0.25, 0.0, 0.6, 0.15, 0.0])
    numbers = NucleusSampling(max_steps=10000).numbers(torch.tensor([5]))[0]
    edges = torch.tensor([0.0, 1 - 2**-53], dtype=torch.float64)
    drawn = NucleusSampling().sample(shares.expand(10002, 6), torch.cat([numbers, edges]))
    assert drawn[-2:].tolist() == [1, 4]
    torch.testing.assert_close(drawn[:-2].bincount(minlength=6) / 10000, shares, rtol=0, atol=0.015)
    assert set(drawn.tolist()) == {1, 3, 4}
