"""The project's own attention against torch's, masks, gradients, dropout and every use of it included."""

import pytest
import torch
import torch.nn.functional as F

from soho.models.language import attention, caption_transformer, partial_layer, transformer_decoder
from soho.models.language.attention import BY_DEVICE, attend

ROWS, HEADS, QUERIES, KEYS, SIZE = 3, 2, 5, 7, 4
GENERATOR = torch.Generator().manual_seed(0)
SEEN = torch.rand(ROWS, 1, QUERIES, KEYS, generator=GENERATOR) < 0.6
SEEN[..., 0] = True  # every query attends to something, as to [CLS]
MASKS = dict(
    none=None,
    bool=SEEN,
    of_keys=SEEN[:, :, :1],
    of_queries=SEEN[0, 0],
    of_heads=SEEN.transpose(0, 1)[:, :HEADS],  # (1, H, L, T)
    float=torch.where(SEEN, 0.0, torch.finfo(torch.float32).min),
    bias=torch.randn(ROWS, HEADS, QUERIES, KEYS, generator=GENERATOR),
)


def inputs(dtype=torch.float32):
    generator = torch.Generator().manual_seed(1)
    shapes = [(ROWS, HEADS, length, SIZE) for length in (QUERIES, KEYS, KEYS)]
    return [torch.randn(shape, generator=generator).to(dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize('scaling', [None, 0.3, 2.0])
@pytest.mark.parametrize('mask', MASKS)
def test_outputs_and_gradients_are_torch_s(mask, scaling):
    mask = MASKS[mask]
    weight = torch.randn(ROWS, HEADS, QUERIES, SIZE, generator=torch.Generator().manual_seed(2))
    ours, theirs = inputs(), inputs(torch.float64)
    reference = mask.double() if mask is not None and mask.is_floating_point() else mask
    outputs = (
        attend(*ours, mask, scaling=scaling),
        F.scaled_dot_product_attention(*theirs, attn_mask=reference, scale=scaling),
    )
    torch.testing.assert_close(outputs[0].double(), outputs[1], rtol=1e-5, atol=1e-6)
    for output in outputs:
        (output * weight.to(output.dtype)).sum().backward()
    for one, other in zip(ours, theirs):
        torch.testing.assert_close(one.grad.double(), other.grad, rtol=1e-4, atol=1e-5)


def test_dropout_drops_weights_and_scales_the_others():
    queries, keys, _ = (x.detach() for x in inputs())
    values = torch.eye(KEYS).expand(ROWS, HEADS, KEYS, KEYS)  # the output is then the attention weights
    weights = attend(queries, keys, values)
    dropped = attend(queries, keys, values, dropout=0.25)
    kept = dropped != 0
    assert 0.6 < kept.float().mean() < 0.9
    torch.testing.assert_close(dropped[kept], weights[kept] / 0.75)


@pytest.fixture
def rates(monkeypatch):
    """Dropout rates with which attention is called."""
    seen = []

    def record(queries, keys, values, mask=None, dropout=0.0, scaling=None):
        seen.append(dropout)
        return attend(queries, keys, values, mask, dropout, scaling)

    for module in (attention, partial_layer, transformer_decoder):
        monkeypatch.setattr(module, 'attend', record)
    return seen


@pytest.mark.parametrize('training', [True, False])
def test_every_layer_of_soho_drops_attention_weights_in_training(
    training, rates, make_model, make_batch, preprocess, soho_config
):
    language = dict(soho_config()['language'], num_hidden_layers=3, attention_probs_dropout_prob=0.3)
    model = make_model(language=language).train(training)
    model(mode='loss', **preprocess(model, make_batch()))
    assert rates == [0.3 if training else 0.0] * 3


@pytest.mark.parametrize('training', [True, False])
def test_every_layer_of_virtex_drops_attention_weights_in_training(training, rates):
    language = caption_transformer.CaptionTransformer(
        visual_size=4, vocab_size=20, hidden_size=16, num_layers=2, dropout=0.3
    ).train(training)
    memory = language.project_memory(torch.randn(1, 4, 2, 2))
    language(memory, torch.randint(3, 20, (1, 5)), torch.tensor([5]))
    assert rates == [0.3 if training else 0.0] * 4  # of the caption and of the image, in both layers


@pytest.mark.parametrize('name', ['sdpa', 'eager'])
@pytest.mark.parametrize('partial', [True, False])
def test_a_model_answers_and_learns_as_with_transformers_own(
    name, partial, make_model, make_batch, preprocess, soho_config
):
    """On a padded batch with masks of words and cells: outputs, losses and gradients."""
    results = []
    for options in (
        dict(attention=BY_DEVICE, partial_last_layer=partial),
        dict(attention=name, partial_last_layer=False),
    ):
        torch.manual_seed(0)
        model = make_model(language=dict(soho_config()['language'], initializer_range=0.2, **options))
        batch = preprocess(model, make_batch())
        losses = model(mode='loss', **batch)
        sum(value for key, value in losses.items() if 'loss' in key).backward()
        fused = model(mode='tensor', **batch)
        # In float32 the CNN's gradients, sums that nearly cancel, follow the rounding of those of its features.
        gradients = {key: p.grad for key, p in model.named_parameters() if not key.startswith('backbone')}
        results.append((losses, gradients, fused.text, fused.visual))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)
