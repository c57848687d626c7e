"""Entries of the official VirTex checkpoints: names in order, shapes, ties, and the way in and out."""

import torch

from soho.engine.checkpoint.adapters.official import from_official, to_official
from soho.engine.checkpoint.adapters.torchvision_resnet import to_detectron2, to_torchvision
from soho.engine.checkpoint.convert import detectron2_file
from soho.engine.checkpoint.load import load_weights
from tests.parity.fixture import Fixture
from tests.parity.soho_model import ties
from tests.parity.virtex_model import BACKBONES, build, config_of


def check_keys(fixture: Fixture) -> None:
    """``model_zoo.keys.json``: every model of the zoo, and the export of the CNN."""
    fixture.remark('format', 'detectron2/note')
    for name in dict.fromkeys(name.split('/')[1] for name in fixture.names('models/')):
        _check_model(fixture, f'models/{name}/')
    renamed = {name.removeprefix('detectron2/rename/'): i for i, name in enumerate(fixture.names('detectron2/rename/'))}
    export = detectron2_file(to_detectron2({'backbone.' + name: i for name, i in renamed.items()}), {})
    fixture.check('detectron2/top_level_keys', list(export))
    theirs = {i: name for name, i in export['model'].items()}
    fixture.check_all({'detectron2/rename/' + name: theirs[i] for name, i in renamed.items()})


def _check_model(fixture: Fixture, prefix: str) -> None:
    fixture.remark(prefix + 'configs')
    shapes = {name.removeprefix(prefix + 'keys/'): fixture[name] for name in fixture.names(prefix + 'keys/')}
    visual = fixture[prefix + 'visual']
    config = config_of(fixture[prefix + 'task'], visual, fixture[prefix + 'textual'], fixture[prefix + 'vocab_size'])
    with torch.device('meta'):
        model = build(config)
    model.to_empty(device='cpu')  # no time is spent on values that are overwritten
    official = to_official(model.state_dict())
    tied = ties(official)
    fixture.check(prefix + 'visual_feature_size', BACKBONES[visual][0])
    fixture.check(prefix + 'keys', list(official), recorded=list(shapes), note='names in order')
    fixture.check_all({f'{prefix}keys/{name}': list(value.shape) for name, value in official.items()})
    fixture.check(prefix + 'tied', tied)
    fixture.check_all({f'{prefix}tied/{alias}': owner for alias, owner in tied.items()})
    fixture.check(prefix + 'num_parameters', sum(value.numel() for value in model.parameters()))
    fixture.check(prefix + 'num_visual_parameters', sum(value.numel() for value in model.backbone.parameters()))
    fixture.check(prefix + 'num_tensors', len(official))

    # Each entry full of a number of its own, so that one that goes astray is seen.
    numbers = {name: i for i, name in enumerate(shapes)}
    dtypes = {name: torch.int64 if name.endswith('num_batches_tracked') else torch.float32 for name in shapes}
    given = {
        name: torch.full(shape, numbers[tied.get(name, name)], dtype=dtypes[name]) for name, shape in shapes.items()
    }
    load_weights(model, given, fixture.path, strict=True)
    for what, returned in (
        ('round trip', to_official(model.state_dict())),
        ('round trip of the file', to_official(from_official(given))),
    ):
        unchanged = [name for name, value in returned.items() if torch.equal(value, given[name])]
        fixture.check(prefix + what, unchanged, recorded=list(shapes), note='bit for bit')
    cnn = [name.removeprefix('visual.cnn.') for name in shapes if name.startswith('visual.cnn.')]
    fixture.check(prefix + 'torchvision', list(to_torchvision(model.state_dict())), recorded=cnn, note='names in order')
