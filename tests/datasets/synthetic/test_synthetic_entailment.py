"""Statements about generated pictures: what their labels mean, and that their words do not give them away."""

import json
from collections import Counter

from soho.datasets.records import ENTAILMENT_LABELS
from soho.datasets.synthetic.entailment import make_hypotheses
from soho.datasets.synthetic.exports.snli_ve import export_snli_ve
from soho.datasets.synthetic.scene import Scene, SceneObject, sample_scene


def star(color, x=100.0):
    return SceneObject('star', color, 'large', 'plain', (x, 100.0), 80.0, 0.0)


def labels_of(*objects):
    """The label of each statement about pictures of these objects, over many seeds."""
    scene = Scene('val2014', 0, 400, 300, 'sand', objects)
    return {text: label for seed in range(60) for text, label in make_hypotheses(seed, scene)}


def test_the_picture_decides():
    one = labels_of(star('red'))
    assert one['The star is red.'] == 'entailment' and one['The star is blue.'] == 'contradiction'
    assert 'neutral' not in one.values()
    # Two stars of different colours: which of them is meant?
    two = labels_of(star('red'), star('blue', 300.0))
    assert two['The star is red.'] == two['The star is blue.'] == 'neutral'
    for direction, label in (('left', 'entailment'), ('right', 'contradiction')):
        found = [two[text] for text in two if text.startswith('The red') and f' {direction} of ' in text]
        assert set(found) == {label}


def test_words_do_not_give_the_label_away():
    found = [h for index in range(400) for h in make_hypotheses(0, sample_scene(0, 'train2014', index))]
    counts = Counter(h.label for h in found)
    assert all(abs(counts[label] / len(found) - 1 / 3) < 0.05 for label in ENTAILMENT_LABELS)
    for word in {word for h in found for word in h.text.split()}:
        of_word = Counter(h.label for h in found if word in h.text.split())
        if of_word.total() > 150:
            assert max(of_word.values()) < 0.5 * of_word.total(), f'{word} {of_word}'


def test_the_export_has_the_format_of_snli_ve(synthetic):
    counts = export_snli_ve(synthetic)
    lines = (synthetic / 'snli_ve' / 'snli_ve_dev.jsonl').read_text().splitlines()
    record = json.loads(lines[0])
    assert counts['dev'] == len(lines) > 8 and record['gold_label'] in ENTAILMENT_LABELS
    assert record['Flickr30K_ID'].startswith('COCO_val2014_') and record['sentence2'].endswith('.')
    assert export_snli_ve(synthetic) == counts  # what is there is left alone
