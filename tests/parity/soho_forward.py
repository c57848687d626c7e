"""Full models in eval mode: every intermediate value from the backbone to the losses."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.parity.fixture import Fixture
from tests.parity.soho_model import PRETRAIN, VQA, build_model, draws, grid_of, read_batch

# Allowed absolute difference of values around 10; proportionally more where they are larger.
CONV, TOKENS, GATE, MLM, MVM, LOGITS = 1e-4, 5e-5, 1e-5, 5e-4, 2e-6, 5e-5
POSITIONS = 1e-5
SHARE = 1e-5
LOSS = 1e-5  # relative
PERCENT = 1e-4

LOSS_NAMES = dict(
    acc_l='acc_mlm',
    acc_v='acc_mvm',
    acc_match='acc_itm',
    loss_mlm='loss_mlm',
    loss_mvm='loss_mvm',
    loss_match='loss_itm',
    loss_cls='loss_vqa',
    score='score',
)


class Trace(dict):
    """Inputs and outputs of modules in the order of their calls: name -> [(inputs, output), ...]."""

    def output(self, name: str, call: int = 0) -> Any:
        return self[name][call][1]

    def input(self, name: str, call: int = 0) -> Any:
        return self[name][call][0][0]


@contextmanager
def traced(model: nn.Module) -> Iterator[Trace]:
    """Record what the model's parts receive and return."""
    trace = Trace()
    # A stage runs its blocks one by one; its output is the last block's.
    parts = {name: module for name, module in model.named_modules() if name.startswith(('neck', 'heads', 'language'))}
    parts.update({f'backbone.{name}': getattr(model.backbone, name)[-1] for name in model.backbone.stages})
    hooks = []
    for name, module in parts.items():

        def hook(module: nn.Module, inputs: tuple, output: Any, name: str = name) -> None:
            trace.setdefault(name, []).append((inputs, output))

        hooks.append(module.register_forward_hook(hook))
    try:
        yield trace
    finally:
        for handle in hooks:
            handle.remove()


def official_scalars(outputs: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, float]:
    """Our losses under the names that the official training step logs."""
    scalars = {theirs: float(outputs[ours].detach()) for theirs, ours in LOSS_NAMES.items() if ours in outputs}
    scalars['loss'] = sum(value for name, value in scalars.items() if 'loss' in name)
    if 'mlm_labels' in batch:
        scalars['select'] = float((batch['mlm_labels'] >= 0).float().mean())
    return scalars


def check_scalars(fixture: Fixture, scalars: dict[str, float], prefixes: list[str]) -> None:
    """Losses to 1e-5 relative, percentages and shares absolutely."""
    for prefix in prefixes:
        for name, value in scalars.items():
            exact = name.startswith(('acc', 'select', 'score'))
            fixture.check(prefix + name, value, atol=PERCENT if exact else 0, rtol=0 if exact else LOSS)


@torch.no_grad()
def check_pretraining(fixture: Fixture) -> None:
    """``pretrain_eval``: the pretraining model, with further masking choices ``alt<i>_*``."""
    model = build_model(fixture, PRETRAIN)
    batch = read_batch(fixture)
    masked = draws(batch, fixture['in_mask_position'], fixture['in_mask_selection'])
    outputs, _ = _run(model, masked)
    check_scalars(fixture, official_scalars(outputs, batch), ['out_', 'f64_out_'])
    trace = _run_whole(model, masked)
    _check_visual(fixture, model, masked, trace)
    _check_dictionary(fixture, model, trace)
    _check_language(fixture, masked, trace)
    _check_heads(fixture, model, masked)
    for prefix in sorted({name.split('_')[0] + '_' for name in fixture.names('alt')}):
        fixture.remark(prefix + 'why')
        again = draws(batch, fixture[prefix + 'in_mask_position'], fixture[prefix + 'in_mask_selection'])
        outputs, trace = _run(model, again)
        check_scalars(fixture, official_scalars(outputs, batch), [prefix + 'out_', prefix + 'f64_out_'])
        fixture.check(prefix + 'ref_visual_labels', _rows(trace.output('neck').labels, again))
        fixture.check(prefix + 'ref_itm_logits', trace.output('heads.itm'), LOGITS, SHARE)


@torch.no_grad()
def check_vqa(fixture: Fixture) -> None:
    """``vqa_eval``: the VQA model."""
    model = build_model(fixture, VQA)
    batch = read_batch(fixture)
    batch['question_id'] = torch.zeros(batch['sentence_mask'].shape, dtype=torch.int64)
    batch.update(_answers(fixture, batch))
    if 'ref_test_ids' in fixture:  # passed through
        batch['question_id'] = fixture.tensor('ref_test_ids').view_as(batch['question_id'])
    outputs, trace = _run(model, batch)
    check_scalars(fixture, official_scalars(outputs, batch), ['out_', 'f64_out_'])
    whole = _run_whole(model, batch)
    _check_visual(fixture, model, batch, whole)
    _check_language(fixture, batch, whole)
    head = next(name for name in trace if name.startswith('heads.') and name.endswith('classifier.0'))
    logits = trace.output(head.removesuffix('.classifier.0'))
    fixture.check('ref_head_hidden_slice', trace.output(head)[:, ::8], TOKENS, SHARE)
    fixture.check('ref_logits', logits, LOGITS, SHARE)
    fixture.check('ref_argmax', logits.argmax(1))
    targets = next(iter(model.heads.values())).targets(batch)
    fixture.check('ref_score_each', targets.gather(1, logits.argmax(1, keepdim=True))[:, 0], PERCENT)
    predicted = model(mode='predict', **batch)[0]
    fixture.check('ref_test_ids', predicted['question_id'])


def _answers(fixture: Fixture, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The sparse targets as ``answer_labels`` and ``answer_scores`` (B, S, K)."""
    rows, columns = fixture.tensor('in_label_rows'), fixture.tensor('in_label_columns')
    scores = fixture.tensor('in_label_scores')
    shape = batch['sentence_mask'].shape
    width = max(int(torch.bincount(rows).max()) if len(rows) else 1, 1)
    labels = torch.full((shape.numel(), width), -1, dtype=torch.int64)
    values = torch.zeros(shape.numel(), width)
    for row in rows.unique().tolist():
        here = rows == row
        labels[row, : int(here.sum())] = columns[here]
        values[row, : int(here.sum())] = scores[here]
    return dict(answer_labels=labels.view(*shape, width), answer_scores=values.view(*shape, width))


def _run(model: nn.Module, batch: dict[str, Tensor]) -> tuple:
    with traced(model) as trace:
        outputs = model(mode='loss', **batch)
    return outputs, trace


def _run_whole(model: nn.Module, batch: dict[str, Tensor]) -> Trace:
    """With all of the last layer; for the losses it is computed only where heads look."""
    with traced(model) as trace:
        model(mode='tensor', **batch)
    return trace


def _rows(value: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """(B, S or 1, ...) to (R, ...), a copy for each sentence where all share one."""
    images, sentences = batch['input_ids'].shape[:2]
    return value.expand(images, sentences, *value.shape[2:]).flatten(0, 1)


def _check_visual(fixture: Fixture, model: nn.Module, batch: dict[str, Tensor], trace: Trace) -> None:
    height, width = grid_of(batch)
    fixture.check('meta_grid', [height, width])
    stages = [f'backbone.{name}' for name in model.backbone.stages]
    for i, name in enumerate(stages, start=1):
        fixture.check(f'ref_backbone_layer{i}_slice', trace.output(name)[:, ::8, ::8, ::8], CONV, SHARE)
    fixture.check('ref_backbone', trace.output(stages[-1]), CONV, SHARE)
    grid = trace.output('neck.conv.bn')
    fixture.check('ref_neck_conv', grid, CONV, SHARE)
    _, positions = model.neck.locate(batch['image_size'], tuple(batch['image'].shape[-2:]), (height, width))
    fixture.check('ref_pos', positions.transpose(1, 2).unflatten(2, (height, width)), POSITIONS)

    seen = trace.output('neck')
    before, tokens = trace.input('neck.ln')[:, None], seen.tokens
    if seen.labels is not None:
        before = torch.where(seen.labels[..., None] >= 0, trace.input('neck.ln', 1)[:, None], before)
        fixture.check('ref_visual_labels', _rows(seen.labels, batch))
    fixture.check('ref_tokens_before_ln_slice', _rows(before, batch)[:, :, ::8], TOKENS, SHARE)
    fixture.check('ref_visual_tokens', _rows(tokens, batch), TOKENS, SHARE)
    fixture.check('ref_visual_mask', _rows(seen.valid[:, None].long(), batch))


def _check_dictionary(fixture: Fixture, model: nn.Module, trace: Trace) -> None:
    seen = trace.output('neck')
    images, cells = seen.words.shape
    quantized, _ = trace.output('neck.vq')
    distance = squared_distances(trace.input('neck.vq'), model.neck.vq.embed).topk(2, largest=False).values
    fixture.check('ref_vq_indices', seen.words)
    fixture.check('ref_vq_distance', distance[:, 0].view(images, cells), 1e-2, 1e-5)
    fixture.check('ref_vq_margin', (distance[:, 1] - distance[:, 0]).view(images, cells), 1e-2, 1e-5)
    fixture.check('ref_quantized', quantized.view(images, cells, -1), TOKENS, SHARE)
    if 'neck.align_output' in trace:
        fixture.check('ref_pos_line', trace.output('neck.align_output').view(images, cells, -1), TOKENS, SHARE)
    if 'neck.gate' in trace:
        grid = tuple(trace.output('neck.conv.bn').shape[-2:])
        logits = trace.output('neck.gate.bn').unflatten(2, grid).squeeze(4)  # (B, 2, h, w)
        scores = logits.softmax(1)
        fixture.check('ref_gate_logits', logits, TOKENS, SHARE)
        fixture.check('ref_gate_emb_score', scores[:, 0], GATE)
        fixture.check('ref_gate_img_score', scores[:, 1], GATE)


def squared_distances(features: Tensor, words: Tensor) -> Tensor:
    """(M, K) float64, computed so that the rounding is only that of the inputs."""
    features, words = features.double(), words.double()
    return features.square().sum(1, keepdim=True) + words.square().sum(1) - 2 * features @ words.t()


def _check_language(fixture: Fixture, batch: dict[str, Tensor], trace: Trace) -> None:
    fixture.check('ref_embeddings_slice', trace.output('language.bert.embeddings')[:, :, ::16], TOKENS, SHARE)
    layers = sum(name.removeprefix('language.bert.encoder.layer.').isdigit() for name in trace)
    for i in range(layers):
        output = trace.output(f'language.bert.encoder.layer.{i}')
        output = output[0] if isinstance(output, tuple) else output
        fixture.check(f'ref_bert_layer{i}_slice', output[:, :, ::16], TOKENS, SHARE)
    fused = torch.cat(trace.output('language'), dim=1)
    if 'ref_fused' in fixture:
        step = max(round(fused.size(2) / fixture.shape('ref_fused')[-1]), 1)
        fixture.check('ref_fused', fused[:, :, ::step], TOKENS, SHARE)


def _check_heads(fixture: Fixture, model: nn.Module, batch: dict[str, Tensor]) -> None:
    fused = model(mode='tensor', **batch)
    heads = {type(head).__name__: head for head in model.heads.values()}
    logits, labels = heads['MLMHead'].logits(fused, batch)
    fixture.check('ref_mlm_logits_slice', logits[:, ::8], MLM, SHARE)
    fixture.check('ref_mlm_labels', labels)
    fixture.check('ref_mlm_rows', (batch['mlm_labels'].flatten(0, 1) >= 0).nonzero())
    fixture.check('ref_mlm_logsumexp', logits.logsumexp(1), MLM, SHARE)
    fixture.check('ref_mlm_label_logit', logits.gather(1, labels[:, None])[:, 0], MLM, SHARE)
    scores, words = heads['MVMHead'].scores(fused, batch)
    scores, words = scores[words >= 0], words[words >= 0]
    fixture.check('ref_mvm_scores', scores, MVM)
    fixture.check('ref_mvm_labels', words)
    fixture.check('ref_mvm_rows', (fused.visual_labels >= 0).nonzero())
    verdict = heads['ITMHead'](fused)
    fixture.check('ref_itm_logits', verdict, LOGITS, SHARE)
    each = F.cross_entropy(verdict, batch['itm_labels'].flatten(), reduction='none')
    fixture.check('ref_itm_loss_each', each, 1e-6, LOSS)
