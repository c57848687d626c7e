"""The published captioning model in eval mode, from the image to the captions it writes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soho.models.decoding.beam_search import BeamSearch
from soho.models.decoding.decode_step import DecodeStep
from soho.models.decoding.nucleus_sampling import REMOVED
from tests.parity.fixture import Fixture
from tests.parity.virtex_decoding import OfficialDraws
from tests.parity.virtex_model import build, config_of, doubled, fill_model, read_batch

# Allowed absolute difference, and of logits and losses also relative.
INPUT, VISUAL, FEATURES, LOGITS = 1e-6, 1e-4, 5e-5, 5e-4
LOGPROB, SHARE = 1e-4, 2e-6
DOUBLE = 1e-9  # relative, of a loss in float64
SOS, EOS = 1, 2
# Steps of decoding where the fixture does not say otherwise.
STEPS, FEW_STEPS, STEPS_WITH_START = 30, 15, 20


@torch.no_grad()
def check_captioning(fixture: Fixture) -> None:
    """``bicaptioning_eval.npz``."""
    hidden = 32 * fixture.shape('forward_projected_slice')[-1]
    textual = f'transdec_postnorm::L1_H{hidden}_A{hidden // 64}_F{4 * hidden}'
    model = build(config_of('bicaptioning', 'torchvision::resnet50', textual, vocab_size=10000))
    fill_model(model, int(fixture['seed']))
    batch = read_batch(fixture, '')
    canvas = fixture.tensor('images_u8').permute(0, 3, 1, 2)
    size = torch.tensor(canvas.shape[-2:]).expand(len(canvas), 2)
    image = model.data_preprocessor(dict(image=canvas, image_size=size))['image']
    fixture.check('image_input_slice', image[:, :, ::32, ::32], INPUT, note='of the preprocessor')
    feature, memory = model(mode='tensor', **batch)
    _check_visual(fixture, feature)
    argmax = _check_direction(fixture, model.language, memory, batch['caption_tokens'], batch, 'forward')
    _check_direction(fixture, model.language, memory, batch['noitpac_tokens'], batch, 'backward')
    fixture.check('predictions', argmax)
    losses = model(mode='loss', **batch)
    losses['loss'] = sum(losses.values())
    fixture.check_all(losses, LOGITS, SHARE)
    for variant in re.findall(r'decode_(\w+)_scale_words', '\n'.join(fixture.names('decode_'))):
        with _changed(
            model, float(fixture[f'decode_{variant}_scale_words']), float(fixture[f'decode_{variant}_add_eos_bias'])
        ):
            _check_decoding(fixture, model.language, memory, variant)
    model, batch = doubled(model, batch)
    fixture.check('loss_float64', sum(model(mode='loss', **batch).values()), 0, DOUBLE)


def _check_visual(fixture: Fixture, feature: Tensor) -> None:
    fixture.check('visual_features_slice', feature[:, ::64], VISUAL)
    each = feature.double().flatten(1)
    fixture.check('visual_features_mean_per_image', each.mean(1), VISUAL)
    fixture.check('visual_features_std_per_image', each.std(1), VISUAL)
    fixture.check('visual_pooled', feature.mean((2, 3)), VISUAL)


def _check_direction(
    fixture: Fixture, language: nn.Module, memory: Tensor, tokens: Tensor, batch: dict[str, Tensor], name: str
) -> Tensor:
    """All positions of one direction; returns the likeliest tokens (B, L)."""
    backward = name == 'backward'
    transformer = language.backward_transformer if backward else language.transformer
    with capture_output(transformer) as captured:
        logits = language(memory, tokens, batch['caption_lengths'], backward).logits
    features = captured[0][0]
    fixture.check(f'{name}_projected_slice', memory[:, :, ::32], FEATURES)
    fixture.check(f'{name}_embedded_slice', language.embedding(tokens)[:, :, ::16], FEATURES)
    fixture.check(f'{name}_textual_features_slice', features[:, :, ::16], FEATURES)
    fixture.check(f'{name}_logits_columns', logits[:, :, fixture.tensor('logit_columns')], LOGITS, SHARE)
    fixture.check(f'{name}_logits_logsumexp', logits.double().logsumexp(2), LOGITS, SHARE)
    fixture.check(f'{name}_logits_max', logits.amax(2), LOGITS, SHARE)
    fixture.check(f'{name}_logits_argmax', logits.argmax(2))
    each = F.cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction='none')
    fixture.check(f'{name}_target_nll', each, LOGITS, SHARE)
    return logits.argmax(2)


@contextmanager
def capture_output(module: nn.Module) -> Iterator[list]:
    """The outputs of a module's calls inside the block, in their order."""
    outputs: list = []
    hook = module.register_forward_hook(lambda module, args, output: outputs.append(output))
    try:
        yield outputs
    finally:
        hook.remove()


@contextmanager
def _changed(model: nn.Module, scale_words: float, add_eos_bias: float) -> Iterator[None]:
    """The word embedding, and with it the output, scaled; [EOS] made likelier."""
    words, bias = model.language.embedding.words.weight, model.language.output_bias
    before = words.clone(), bias.clone()
    words.mul_(scale_words)
    bias[EOS] += add_eos_bias
    try:
        yield
    finally:
        words.copy_(before[0])
        bias.copy_(before[1])


def _check_decoding(fixture: Fixture, language: nn.Module, memory: Tensor, variant: str) -> None:
    prefix = f'decode_{variant}_'
    limit = int(fixture.get(prefix + 'max_steps', STEPS))
    write = language.make_decode_step(memory)
    start = torch.full((len(memory),), SOS)
    for name in fixture.names(prefix):
        match = re.fullmatch(prefix + r'((?:beam(\d+)|greedy)(_keep_sos)?)_beams', name)
        if match is None:
            continue
        what, beams, keeps_start = match.groups()
        steps = FEW_STEPS if variant == 'plain' and what != 'beam5' else limit
        search = BeamSearch(
            beam_size=int(beams or 1),
            max_steps=min(steps, STEPS_WITH_START) if keeps_start else steps,
            per_node=2,
            drop_start=not keeps_start,
            forbid_repeats=True,
            eos_id=EOS,
        )
        tokens, logprobs = search.search(write, start)
        fixture.check(name, tokens)
        fixture.check(f'{prefix}{what}_logprobs', logprobs, LOGPROB, SHARE)
    for name in fixture.names(prefix):
        if re.fullmatch(prefix + r'beam\d+_nucleus_tokens', name):
            _check_nucleus(fixture, name.removesuffix('tokens'), write, start)


def _check_nucleus(fixture: Fixture, prefix: str, write: DecodeStep, start: Tensor) -> None:
    """Replay the recorded tokens; then draw them."""
    tokens = fixture.tensor(prefix + 'tokens')
    sampler = OfficialDraws(max_steps=tokens.size(1), forbid_repeats=True, eos_id=EOS)
    last, state = start, None
    kept, chosen, total = [], [], []
    for token in tokens.unbind(1):
        logits, state = write(last, state)
        allowed = sampler.restrict(logits, last)
        kept.append((allowed > REMOVED / 2).sum(1))
        chosen.append(allowed.double().log_softmax(1).gather(1, token[:, None])[:, 0])
        total.append(logits.double().logsumexp(1))
        last = token
    fixture.check(prefix + 'kept', torch.stack(kept, 1))
    # After [EOS], which is forced, the magnitude is that of a forbidden token.
    scale = LOGPROB + SHARE * np.abs(fixture[prefix + 'chosen_logprob'])
    fixture.check_each(prefix + 'chosen_logprob', torch.stack(chosen, 1), 1.0, scale)
    fixture.check(prefix + 'step_logsumexp', torch.stack(total, 1), LOGITS, SHARE)
    fixture.check(prefix + 'tokens', sampler(write, start, torch.arange(len(start)))[0])
