"""An image at several scales, whose logits the head averages."""

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose

from soho.datasets.collate import collate
from soho.datasets.transforms.scales import ResizeScales
from soho.registry import TRANSFORMS

SCALES = ((64, 48), (48, 32))


def sample(number, *scales, sentences=2):
    """A sample of the pipeline's output at these scales; its pixels and words depend on ``number``."""
    rng = np.random.default_rng(number)
    resize = dict(type='ResizeScales', scales=scales)
    pack = dict(type='PackSample', keys=['question_id', 'input_ids', 'attention_mask', 'sentence_mask'])
    results = dict(
        image=rng.integers(0, 256, (30, 45, 3), dtype=np.uint8),
        image_size=(30, 45),
        question_id=np.arange(sentences) + 10 * number,
        input_ids=rng.integers(1, 60, (sentences, 9)),
        attention_mask=np.ones((sentences, 9), np.int64),
        sentence_mask=np.arange(sentences) < sentences - number,
    )
    return Compose([TRANSFORMS.build(resize), TRANSFORMS.build(pack)])(results)


def logits(model, batch):
    with torch.no_grad():
        return model(mode='predict', **model.data_preprocessor(batch))[0]


def test_logits_are_the_mean_over_the_scales(make_model):
    model = make_model('vqa')
    together, *apart = (
        logits(model, collate([sample(0, *scales), sample(1, *scales)], canvas_sizes=64))
        for scales in (SCALES, SCALES[:1], SCALES[1:])
    )
    assert together['question_id'].tolist() == [0, 1, 10] and together['logits'].shape == (3, 10)
    mean = torch.stack([part['logits'] for part in apart]).mean(0)
    torch.testing.assert_close(together['logits'], mean, rtol=1e-4, atol=1e-5)
    assert (apart[0]['logits'] - apart[1]['logits']).abs().max() > 1e-3
    assert together['label'].equal(mean.argmax(1))


def test_a_scale_is_that_of_a_single_resize():
    images = sample(0, *SCALES)['image']
    assert [image.shape[:2] for image in images] == [(43, 64), (32, 48)]
    with pytest.raises(ValueError, match='at least one scale'):
        ResizeScales([])
    with pytest.raises(ValueError, match='is for samples of one image'):
        ResizeScales(SCALES).transform(dict(images=[]))


def test_the_temperature_changes_confidences_alone(make_model):
    batch = collate([sample(0, SCALES[0])])
    head = dict(type='ClassificationHead', hidden_size=32, num_classes=10, dropout=0.0)
    for loss, confidence in (('bce', torch.sigmoid), ('ce', lambda z: z.softmax(1))):
        found = []
        for temperature in (1.0, 2.5):
            torch.manual_seed(0)
            model = make_model('vqa', heads=dict(vqa=dict(head, loss=loss, temperature=temperature)))
            found.append(logits(model, batch))
        assert found[0]['logits'].equal(found[1]['logits']) and found[0]['label'].equal(found[1]['label'])
        torch.testing.assert_close(found[1]['confidence'], confidence(found[0]['logits'] / 2.5).amax(1))
    with pytest.raises(ValueError, match='temperature of a ClassificationHead is 0'):
        make_model('vqa', heads=dict(vqa=dict(head, temperature=0)))
