"""Visual entailment: hypotheses of three classes about images, from the official lines."""

import json

import cv2
import numpy as np
import pytest

from soho.datasets.records import ENTAILMENT_LABELS
from soho.datasets.snli_ve import SNLIVEDataset

LINES = [
    dict(Flickr30K_ID='17', gold_label='entailment', sentence2='A man is outside.', sentence1='THE PREMISE'),
    dict(Flickr30K_ID='23', gold_label='neutral', sentence2='She waits for a bus.', sentence1='THE PREMISE'),
    dict(Flickr30K_ID='17', gold_label='-', sentence2='Nobody agreed on this.', sentence1='THE PREMISE'),
    dict(Flickr30K_ID='17', gold_label='contradiction', sentence2='A man sleeps.', sentence1='THE PREMISE'),
]


@pytest.fixture
def make_dataset(tmp_path, synthetic):
    """The lines above with the changes of some; keywords go to the data set."""
    (tmp_path / 'images').mkdir()
    for name, size in (('17', (40, 60)), ('23', (50, 40))):
        cv2.imwrite(str(tmp_path / 'images' / f'{name}.jpg'), np.zeros((*size, 3), np.uint8))

    def make(changes=(), **options):
        lines = [dict(line) for line in LINES]
        for number, change in dict(changes).items():
            lines[number].update(change)
        (tmp_path / 'snli_ve.jsonl').write_text('\n'.join(map(json.dumps, lines)))
        pipeline = [
            dict(type='LoadImage'),
            dict(type='Tokenize', tokenizer=dict(vocab=str(synthetic / 'vocab.txt'), max_length=16)),
            dict(type='PackSample', keys=['question_id', 'answer_labels']),
        ]
        return SNLIVEDataset('snli_ve.jsonl', 'images', pipeline, data_root=str(tmp_path), **options)

    return make


def test_hypotheses_are_grouped_by_image_and_the_premise_is_not_read(make_dataset):
    dataset = make_dataset(sentence_group=3, test_mode=True)
    assert dataset.metainfo['class_names'] == list(ENTAILMENT_LABELS) and len(dataset) == 2
    first = dataset.get_annotation(0, np.random.default_rng())
    assert first['sentences'] == ['A man is outside.', 'A man sleeps.', '']
    assert first['answer_labels'].tolist() == [[2], [0], [-1]]
    assert first['question_id'].tolist() == [0, 3, -1]  # lines of the file
    assert first['sentence_mask'].tolist() == [True, True, False]
    assert dataset.aspect_ratio.tolist() == [[1.5], [0.8]]  # of the files, since the lines do not say
    assert dataset[1]['image'].shape == (50, 40, 3)
    assert make_dataset({i: dict(height=10, width=20) for i in range(4)}, test_mode=True).aspect_ratio[0] == 2


def test_statements_without_a_common_label_are_counted(make_dataset, monkeypatch):
    said = []
    monkeypatch.setattr('soho.datasets.snli_ve.print_log', lambda text, *_: said.append(text))
    make_dataset()
    assert len(said) == 1 and 'left out 1 of 4 statements' in said[0]


def test_what_is_wrong_in_a_line_is_said(make_dataset):
    for change, said in (
        (dict(sentence2=' '), r'statement 2 has an empty hypothesis \(sentence2\)'),
        (dict(gold_label='maybe'), "statement 2 has the gold_label 'maybe'; it is one of contradiction, neutral, "),
        (dict(sentence2=7), r'Line 2 of .*: sentence2 is 7, where a text is expected'),
        (dict(Flickr30K_ID='99'), r'statement 2 is of an image that is not there: .* has no image 99\.jpg'),
    ):
        with pytest.raises(ValueError, match=said):
            make_dataset({1: change})
