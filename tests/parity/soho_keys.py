"""Entries of an official checkpoint: names in order, shapes, ties, types, parameters and what is frozen."""

import re
from collections.abc import Sequence

import torch

from soho.engine.checkpoint.adapters.official import from_official
from soho.engine.checkpoint.adapters.official_soho import EMBEDDING, is_official, to_official
from soho.engine.checkpoint.load import load_weights
from soho.errors import UserError
from tests.parity.fill import fill_all
from tests.parity.fixture import Fixture
from tests.parity.soho_model import PRETRAIN, VQA, model_like, official_parameters, ties

HEAD_DIM = 64  # of BERT; the shapes do not tell the number of attention heads
BASIC = {8: 18, 16: 34}
BOTTLENECK = {16: 50, 33: 101, 50: 152}


def check_keys(fixture: Fixture) -> None:
    """``*.keys.json``: our model of these sizes in the official layout, and a checkpoint's way in and out."""
    shapes = {name.removeprefix('keys/'): fixture[name] for name in fixture.names('keys/')}
    name = PRETRAIN if 'head.match_class.weight' in shapes else VQA
    model = model_like(name, official_config(shapes))
    official = to_official(model.state_dict())
    fixture.check('keys', list(official), recorded=list(shapes), note='names in order')
    for key, value in official.items():
        fixture.check('keys/' + key, list(value.shape))
    tied = ties(official)
    fixture.check('tied', tied)
    fixture.check_all({'tied/' + alias: owner for alias, owner in tied.items()})
    fixture.check_all(
        {
            'dtypes/' + key: str(value.dtype).removeprefix('torch.')
            for key, value in official.items()
            if value.dtype != torch.float32
        }
    )
    parameters = official_parameters(model)
    fixture.check('parameters', list(parameters))
    fixture.check('frozen', [key for key, value in parameters.items() if not value.requires_grad])

    given = fill_all(shapes.items(), 0, tied)
    load_weights(model, given, fixture.path, strict=True)
    returned = to_official(model.state_dict())
    unchanged = [key for key in given if torch.equal(given[key], returned[key])]
    fixture.check('round trip', unchanged, recorded=list(shapes), note='in through the model, out again, bit for bit')
    returned = to_official(from_official(given))
    unchanged = [key for key in returned if returned[key] is given.get(key) or torch.equal(returned[key], given[key])]
    fixture.check('round trip of the file', unchanged, recorded=list(shapes), note='bit for bit')


def official_config(shapes: dict[str, Sequence[int]]) -> dict:
    """The official model config whose checkpoint has these shapes.

    Raises:
        ValueError: They are no official SOHO checkpoint's.
    """
    if not is_official(shapes):
        raise UserError(f'no official SOHO checkpoint has these keys: {EMBEDDING} or a head is missing')
    blocks = {m.group() for m in (re.match(r'backbone\.layer\d+\.\d+\.', name) for name in shapes) if m}
    bottleneck = 'backbone.layer1.0.conv3.weight' in shapes
    vocabulary, hidden = shapes[EMBEDDING]
    layers = {m.group() for m in (re.match(r'language\.bert\.encoder\.layer\.\d+\.', name) for name in shapes) if m}
    out, channels = shapes['neck.conv.conv.weight'][:2]
    head = dict(hidden_size=hidden)
    if 'head.vqa.3.weight' in shapes:
        head['num_answes'] = shapes['head.vqa.3.weight'][0]
    return dict(
        backbone=dict(depth=(BOTTLENECK if bottleneck else BASIC)[len(blocks)]),
        language=dict(
            num_hidden_layers=len(layers),
            vocab_size=vocabulary,
            hidden_size=hidden,
            num_attention_heads=max(hidden // HEAD_DIM, 1),
            intermediate_size=shapes['language.bert.encoder.layer.0.intermediate.dense.weight'][0],
            max_position_embeddings=shapes['language.bert.embeddings.position_embeddings.weight'][0],
            type_vocab_size=shapes['language.bert.embeddings.token_type_embeddings.weight'][0],
        ),
        neck=dict(
            type='Gate' if 'neck.gate_fc.conv.weight' in shapes else '',
            in_channels=channels,
            out_channels=out,
            num_tokens=shapes.get('neck.vq.embed', [0])[0],
            begin_align='neck.begin_line.weight' in shapes,
            pos_align='neck.pos_line.weight' in shapes,
        ),
        head=head,
    )
