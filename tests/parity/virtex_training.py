"""Small models of every task: losses and predictions, one pass in train mode, and its gradients."""

import re
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from soho.engine.checkpoint.adapters.official_virtex import BACKWARD, TEXT
from tests.parity.fixture import Fixture
from tests.parity.virtex_model import config_of, doubled, filled, official_parameters, read_batch

CLASSES_STEP = 10  # logits of captions are recorded every tenth
MAX_NORM = 10.0
LOSS, LOGITS = 1e-5, 5e-4  # relative, absolute
TEXTUAL, VISUAL = 1e-4, 1e-2  # of gradients, relative
DOUBLE = 1e-9  # relative, in float64
ROUNDING = 1e-6  # where the true gradient is zero, what is recorded is rounding
LOSS_NAMES = dict(
    loss_captioning_forward='loss_captioning_forward',
    loss_captioning_backward='loss_captioning_backward',
    loss_mlm='loss_masked_lm',
    loss_classification='loss_classification',
)


def check_training(fixture: Fixture) -> None:
    """``grads.npz``."""
    for case in dict.fromkeys(name.split('/')[0] for name in fixture.values if '/' in name):
        _check_model(fixture, case + '/')


def small_config(fixture: Fixture, case: str) -> dict:
    """The small model of ``case`` from the shapes and names that are recorded of it."""
    task, names = case.rstrip('/').removesuffix('_prenorm'), fixture.values[case + 'param_names'].tolist()
    if case + 'eval_logits' in fixture:
        return config_of(task, 'torchvision::resnet18', 'none', fixture.shape(case + 'eval_logits')[-1])
    layers = {m[1] for m in map(re.compile(r'textual\.transformer\.layers\.(\d+)\.').match, names) if m}
    norm = 'prenorm' if TEXT + 'transformer.norm.weight' in names else 'postnorm'
    hidden = fixture.shape(case + 'grad_words_rows_0_to_3_clipped')[-1]
    textual = f'transdec_{norm}::L{len(layers)}_H{hidden}_A{hidden // 64}_F{4 * hidden}'
    vocab_size = CLASSES_STEP * fixture.shape(case + 'eval_logits_slice')[-1]
    return config_of(task, 'torchvision::resnet18', textual, vocab_size)


def _check_model(fixture: Fixture, case: str) -> None:
    config, seed = small_config(fixture, case), int(fixture[case + 'in_seed'])
    batch = read_batch(fixture, case + 'in_')
    model = filled(config, seed)
    _check_eval(fixture, case, model, batch)

    names = fixture[case + 'param_names'].tolist()
    gradients = _train(fixture, case + 'train_', model, batch, LOSS)
    fixture.check(case + 'param_names', list(gradients))
    share = np.array([TEXTUAL if name.startswith((TEXT, BACKWARD)) else VISUAL for name in names])
    _check_gradients(fixture, case, [gradients[name] for name in names], share, '')
    _check_clipping(fixture, case, model, gradients)
    _check_statistics(fixture, case, model)

    model, exact = doubled(filled(config, seed), batch)
    with torch.no_grad():
        fixture.check(case + 'eval_loss_float64', sum(official_losses(model, exact).values()), 0, DOUBLE)
    gradients = _train(fixture, case + 'train_', model, exact, DOUBLE, '_float64')
    _check_gradients(fixture, case, [gradients[name] for name in names], np.full(len(names), DOUBLE), '_float64')


def official_losses(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """By their official names."""
    losses = model(mode='loss', **batch)
    return {LOSS_NAMES[name]: value for name, value in losses.items() if name in LOSS_NAMES}


@torch.no_grad()
def _check_eval(fixture: Fixture, case: str, model: nn.Module, batch: dict[str, Tensor]) -> None:
    losses = official_losses(model, batch)
    fixture.check_all(dict(losses, loss=sum(losses.values())), 0, LOSS, case + 'eval_')
    visual = model(mode='tensor', **batch)
    fixture.check(case + 'eval_visual_pooled', visual.feature.mean((2, 3)), 1e-4)
    if model.language is None:
        head = model.heads['classification']
        logits = head(visual)
        fixture.check(case + 'eval_logits', logits, LOGITS)
        predicted = head.predict(visual, dict(batch, image_id=torch.arange(len(logits))))
        fixture.check(case + 'eval_predictions', predicted['labels'])
        return
    directions = dict(_logits(model.language, visual.memory, batch))
    for name, logits in directions.items():
        fixture.check(f'{case}eval_{name}logits_slice', logits[..., ::CLASSES_STEP], LOGITS)
    best = directions[''].argmax(2)
    asked = batch['masked_labels'] > 0 if 'masked_labels' in batch else True
    fixture.check(case + 'eval_predictions', best * asked)


def _logits(language: nn.Module, memory: Tensor, batch: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Of each direction, (B, L, V)."""
    lengths = batch['caption_lengths']
    yield '', language(memory, batch['caption_tokens'], lengths).logits
    if language.bidirectional:
        yield 'backward_', language(memory, batch['noitpac_tokens'], lengths, backward=True).logits


def _train(
    fixture: Fixture, prefix: str, model: nn.Module, batch: dict[str, Tensor], rtol: float, suffix: str = ''
) -> dict[str, Tensor]:
    """One pass in train mode; returns the gradients by their official names."""
    losses = official_losses(model.train(), batch)
    total = sum(losses.values())
    for name, value in dict(losses, loss=total).items():
        fixture.check(prefix + name + suffix, value, 0, rtol)
    total.backward()
    return {name: value.grad for name, value in official_parameters(model).items()}


def _check_gradients(fixture: Fixture, case: str, gradients: list[Tensor], share: np.ndarray, suffix: str) -> None:
    """Each to a share of its own size: the norm, the sum, and the first values."""
    norms = np.array([float(g.double().norm()) for g in gradients])
    scale = np.maximum(norms, ROUNDING / TEXTUAL) * share
    sizes = np.sqrt([g.numel() for g in gradients])
    first = np.zeros((len(gradients), 8))
    for row, gradient in zip(first, gradients):
        values = gradient.flatten()[:8].double().numpy()
        row[: len(values)] = values
    fixture.check_each(f'{case}grad_norm{suffix}', norms, 1.0, scale)
    fixture.check_each(f'{case}grad_sum{suffix}', [float(g.double().sum()) for g in gradients], 1.0, scale * sizes)
    fixture.check_each(f'{case}grad_first8{suffix}', first, 1.0, scale[:, None])
    fixture.check(f'{case}grad_total_norm{suffix}', np.linalg.norm(norms), 0, float(share.max()))


def _check_clipping(fixture: Fixture, case: str, model: nn.Module, gradients: dict[str, Tensor]) -> None:
    total = float(nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM))  # in place
    fixture.check(case + 'clip_coefficient', MAX_NORM / (total + 1e-6), 0, VISUAL)
    words = gradients.get(TEXT + 'embedding.words.weight')
    if words is not None:
        fixture.check(case + 'grad_words_rows_0_to_3_clipped', words[:4], 0, VISUAL)


def _check_statistics(fixture: Fixture, case: str, model: nn.Module) -> None:
    """Batch-norm after one pass."""
    for name in fixture.names(case):
        match = re.fullmatch(case + r'(?:layer(\d)_(\d)_)?bn(\d)_(\w+)_after', name)
        if match is None:
            continue
        stage, block, number, what = match.groups()
        place = f'layer{stage}.{block}.' if stage else ''
        norm = model.backbone.get_submodule(f'{place}bn{number}')
        fixture.check(name, getattr(norm, dict(num_batches='num_batches_tracked').get(what, what)), 1e-5)
