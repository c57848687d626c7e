"""A task that the project does not have, of two images and a sentence: one data set, one head and one config.

They stand in a folder of their own, as a user's would, and nothing in the package is touched: does the sentence
name the picture on the left, or that on the right?
"""

import json
import sys

import pytest
import torch

from soho.engine import Runner, load_config

PARTS = '''
"""Which of two pictures does the sentence name? One json object a line: left, right, sentence, answer."""

import json

import numpy as np
import torch.nn.functional as F
from torch import nn

from soho.datasets.base import ImageTextDataset
from soho.datasets.image_table import ImageTable
from soho.models.heads.base import Head
from soho.models.heads.losses import accuracy
from soho.models.heads.positions import cls_positions
from soho.registry import DATASETS, MODELS


@DATASETS.register_module(force=True)
class LeftOrRight(ImageTextDataset):

    def load_annotations(self):
        with open(self.ann_file) as file:
            self.records = [json.loads(line) for line in file]
        names = sorted({record[side] for record in self.records for side in ('left', 'right')})
        records = (dict(file_name=name, image_id=name) for name in names)
        self.images = ImageTable(records, lambda record: None, self.min_side)
        pairs = [[names.index(record[side]) for side in ('left', 'right')] for record in self.records]
        self.item_images = np.array(pairs)

    def get_annotation(self, index, rng):
        record = self.records[index]
        return dict(
            sentences=[record['sentence']],
            sentence_mask=np.ones(1, bool),
            question_id=np.array([index]),
            answer_labels=np.array([[record['answer']]]),
        )


@MODELS.register_module(force=True)
class LeftOrRightHead(Head):

    num_images = 2

    def __init__(self, hidden_size):
        super().__init__()
        self.classifier = nn.Linear(2 * hidden_size, 2)

    def required_fields(self, mode):
        return ('answer_labels',) if mode == 'loss' else ('question_id',)

    def output_positions(self, batch, length, cells):
        return cls_positions(batch['input_ids'])

    def forward(self, features):
        return self.classifier(features.text[:, 0].unflatten(0, (-1, 2)).flatten(1))

    def loss(self, features, batch):
        logits, labels = self(features), batch['answer_labels'].flatten()
        return dict(loss_side=F.cross_entropy(logits, labels), acc_side=accuracy(logits.argmax(1) == labels))

    def predict(self, features, batch):
        return dict(logits=self(features))
'''

CONFIG = '''
"""Left or right: python tools/train.py CONFIG"""
custom_imports = dict(imports=['left_or_right'], allow_failed_imports=False)
default_scope = 'soho'
randomness = dict(seed=0)
model = dict(
    type='SOHO',
    backbone=dict(type='ResNet', depth=18, num_stages=2, out_indices=(1,)),
    neck=dict(type='PlainNeck', in_channels=128, out_channels=32, pool=1),
    language=dict(type='CrossModalBert', vocab_size=512, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
                  intermediate_size=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
    heads=dict(side=dict(type='LeftOrRightHead', hidden_size=32)),
)
pipeline = [
    dict(type='LoadImage'),
    dict(type='ResizeKeepRatio', scale=(32, 32)),
    dict(type='Tokenize', tokenizer=dict(vocab='{root}/vocab.txt', max_length=6)),
    dict(type='PackSample', keys=['question_id', 'answer_labels']),
]
dataset = dict(type='LeftOrRight', ann_file='{root}/pairs.jsonl', images='{root}/pictures', pipeline=pipeline)
train_dataloader = dict(
    batch_size=8, num_workers=0, sampler=dict(type='EpochSampler'), collate_fn=dict(type='collate'), dataset=dataset)
val_dataloader = dict(
    batch_size=8, num_workers=0, sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
    collate_fn=dict(type='collate'), dataset=dict(dataset, test_mode=True))
val_evaluator = dict(type='ClassificationAccuracy')
val_cfg = dict()
test_dataloader, test_evaluator, test_cfg = val_dataloader, val_evaluator, dict()
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=2e-3))
train_cfg = dict(by_epoch=True, max_epochs=40, val_interval=40)
work_dir = '{root}/run'
'''


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The three files, and pairs of a red and a blue picture of which a sentence names one."""
    import cv2
    import numpy as np

    (tmp_path / 'pictures').mkdir()
    for color, bgr in (('red', (0, 0, 255)), ('blue', (255, 0, 0))):
        cv2.imwrite(str(tmp_path / 'pictures' / f'{color}.png'), np.full((32, 48, 3), bgr, np.uint8))
    pairs = [(a, b, named) for a, b in (('red', 'blue'), ('blue', 'red')) for named in ('red', 'blue')] * 4
    lines = [
        json.dumps(dict(left=f'{a}.png', right=f'{b}.png', sentence=f'the {named} one', answer=int(b == named)))
        for a, b, named in pairs
    ]
    (tmp_path / 'pairs.jsonl').write_text('\n'.join(lines))
    words = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'the', 'red', 'blue', 'one']
    (tmp_path / 'vocab.txt').write_text('\n'.join(words))
    (tmp_path / 'left_or_right.py').write_text(PARTS)
    (tmp_path / 'config.py').write_text(CONFIG.replace('{root}', str(tmp_path)))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path / 'config.py'
    sys.modules.pop('left_or_right', None)


def test_a_task_of_two_images_is_one_data_set_one_head_and_one_config(config):
    runner = Runner.from_cfg(load_config(str(config)))
    runner.train()
    metrics = runner.test()
    # Each picture, each word and each order alone gives half: the answer needs all three.
    assert metrics['accuracy'] == 100
    batch = next(iter(runner.test_dataloader))
    swapped = dict(batch, image=batch['image'].unflatten(0, (-1, 2)).flip(1).flatten(0, 1))
    answers = [runner.model.eval().test_step(b)[0]['logits'].argmax(1) for b in (batch, swapped)]
    assert answers[0].equal(1 - answers[1])


def test_wrong_heads_and_pipelines_are_refused_before_the_first_step(config):
    def message(**options):
        with pytest.raises(ValueError) as error:
            Runner.from_cfg(load_config(str(config), options)).train()
        return str(error.value)

    single = {'model.heads.side': dict(type='ITMHead', hidden_size=32, _delete_=True)}
    assert "has 2 images a sample, but the head 'side' (ITMHead) reads 1" in message(**single)
    keys = message(**{'train_dataloader.dataset.pipeline.3.keys': ['question_id']})
    assert keys.startswith("train_dataloader of the config gives no 'answer_labels', which the head 'side'")
    shared = dict(type='ClassificationHead', hidden_size=32, num_classes=2, loss='ce', num_images=2, _delete_=True)
    assert 'list of 0 answers' in message(**{'model.heads.side': shared})


def test_the_shared_head_reads_pairs(make_model, make_batch, preprocess):
    torch.manual_seed(0)
    head = dict(type='ClassificationHead', hidden_size=32, num_classes=10, loss='ce', num_images=2, dropout=0.0)
    model = make_model('vqa', heads=dict(pair=head))
    batch = preprocess(model, make_batch(sizes=((40, 64), (64, 32), (25, 50), (32, 32)), sentences=3))
    texts = ('input_ids', 'attention_mask', 'sentence_mask', 'answer_labels', 'answer_scores', 'question_id')
    batch = {name: value[:2] if name in texts else value for name, value in batch.items()}
    whole = model(mode='predict', **batch)[0]
    assert whole['logits'].shape == (6, 10)
    # The second sample alone, and its images one by one, give its rows.
    alone = {name: value[1:2] if name in texts else value[2:] for name, value in batch.items()}
    torch.testing.assert_close(model(mode='predict', **alone)[0]['logits'], whole['logits'][3:], rtol=1e-4, atol=1e-5)
    cls = [
        model.fuse(
            alone['input_ids'],
            alone['attention_mask'],
            model.encode_image(alone['image'], alone['image_size']).select(torch.tensor([number])),
        ).text[:, 0]
        for number in range(2)
    ]
    expected = model.heads['pair'].classifier(torch.cat(cls, 1))
    torch.testing.assert_close(expected, whole['logits'][3:], rtol=1e-4, atol=1e-5)
