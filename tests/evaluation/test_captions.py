"""Caption metrics: the official evaluation's tokens and scores."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from soho.datasets.sentence_piece import train_vocabulary
from soho.datasets.tokenizer import SentencePieceTokenizer
from soho.evaluation import CaptionMetrics
from soho.evaluation.baselines import choose_constant_caption
from soho.evaluation.captions import bleu, cider_d, load_references, metric, rouge_l, score_captions, tokenize

GOLDEN = Path(__file__).parent.parent / 'data' / 'captions'


def golden(name):
    return json.loads((GOLDEN / name).read_text(encoding='utf-8'))


# --- tokens ---


def test_tokens_equal_official():
    captions, tokens = zip(*golden('tokens.json'))
    assert tokenize(captions) == list(tokens)


@pytest.mark.parametrize(
    'caption, tokens',
    [
        ("it's isn't can't won't I'm they'll", "it 's is n't ca n't wo n't i 'm they 'll"),
        ("cats' dogs's", "cats dogs 's"),
        ("couldn't've", "could n't 've"),
        ('gonna cannot', 'gon na can not'),
        ('"quoted" \'single\' `back` \u201cfancy\u201d \u2019 \u2014', 'quoted single back fancy'),
        ('(parens) [brackets] {braces}', '-lrb- parens -rrb- -lsb- brackets -rsb- -lcb- braces -rcb-'),
        ('10:30 p.m. 1,000 3.5 50% $5', '10:30 p.m. 1,000 3.5 50 % $ 5'),
        ('a...b wait... what?!', 'a. b wait what ?!'),
        ('!!! ...', '!!!'),
        ('No. 5 vs. no.', 'no. 5 vs. no'),
        ('a.b. end.', 'a.b. end'),
        ('#hash @at & amp ; http://x.com/a?b=c', '#hash @at & amp http://x.com/a?b=c'),
        ('22 3/4 and 1\u00bd', '22\u00a03/4 and 1\u00a01/2'),
        ("T.V.'s St. Mary's", "t.v. 's st. mary 's"),
        ('', ''),
        (' \t ', ''),
        ('A newline\nin the middle', 'a newline in the middle'),
    ],
)
def test_treebank_conventions(caption, tokens):
    assert tokenize([caption]) == [tokens]


def test_an_initial_at_the_end_depends_on_the_next_caption():
    assert tokenize(['it reads K.', 'Two dogs']) == ['it reads k.', 'two dogs']
    assert tokenize(['it reads K.', 'A dog']) == ['it reads k', 'a dog']
    assert tokenize(['it reads K.', '', 'a', '']) == ['it reads k.', '', 'a', '']


# --- scores ---


def test_scores_of_single_images_equal_official():
    images = golden('example.json')
    scores = score_captions(
        {i['image_id']: i['caption'] for i in images}, {i['image_id']: i['references'] for i in images}
    )
    for ours, official in [
        ('bleu_1', 'Bleu_1'),
        ('bleu_2', 'Bleu_2'),
        ('bleu_3', 'Bleu_3'),
        ('bleu_4', 'Bleu_4'),
        ('rouge_l', 'ROUGE_L'),
    ]:
        assert np.abs(scores[ours].per_image - [i[official] for i in images]).max() < 1e-9


def test_bleu_of_the_set_is_of_summed_counts():
    hypotheses, references = ['a b c d e', 'a'], [['a b c d e', 'a b'], ['b b b']]
    scores = [score.overall for score in bleu(hypotheses, references)]
    penalty = np.exp(1 - 8 / 6)  # lengths 5 and 1 against 5 and 3
    assert scores == pytest.approx(
        [penalty * 5 / 6, penalty * (5 / 6) ** 0.5, penalty * (5 / 6) ** (1 / 3), penalty * (5 / 6) ** 0.25], rel=1e-6
    )


def test_a_repeated_word_counts_as_often_as_a_reference_has_it():
    assert bleu(['the the the the'], [['the cat the', 'the mat']])[0].overall == pytest.approx(0.5, rel=1e-6)


def test_rouge_takes_the_best_precision_and_the_best_recall():
    precision, recall = 2 / 4, 2 / 2  # of the first and of the second reference
    expected = (1 + 1.2**2) * precision * recall / (recall + 1.2**2 * precision)
    assert rouge_l(['a b c d'], [['a x c y z', 'b d']]).overall == pytest.approx(expected)
    assert rouge_l([''], [['a']]).overall == 0


def test_cider_of_a_reference_among_others():
    """By hand: the n-grams of ``a b`` are in one of two images, so each weighs log 2."""
    score = cider_d(['a b', 'c'], [['a b'], ['d e']])
    assert score.per_image == pytest.approx([10 * (1 + 1) / 4, 0])
    shorter = cider_d(['a', 'c'], [['a b'], ['d e']])
    cosine = 1 / 2**0.5
    assert shorter.per_image[0] == pytest.approx(10 * cosine * np.exp(-1 / 72) / 4)


def test_words_of_all_images_weigh_nothing():
    assert cider_d(['a', 'a'], [['a'], ['a']]).overall == 0


def test_what_java_gives_is_added_or_said_to_be_missing(monkeypatch, caplog):
    class Scorer:
        def compute_score(self, references, hypotheses):
            assert hypotheses == {0: ['a dog']} and references == {0: ['a cat', 'a dog']}
            return 0.25, [dict(All=dict(f=0.25))]

    truth = ({7: 'A dog.'}, {7: ['A cat.', 'a dog']})
    monkeypatch.setattr(metric.shutil, 'which', lambda _: None)
    said = []
    monkeypatch.setattr(metric, 'print_log', lambda text, logger: said.append(text))
    assert not {'meteor', 'spice'} & set(score_captions(*truth, java=True))
    assert said == ['meteor is not computed: Java is not installed', 'spice is not computed: Java is not installed']
    monkeypatch.setattr(metric.shutil, 'which', lambda _: '/usr/bin/java')
    monkeypatch.setattr(metric, '_java_scorer', lambda name: Scorer)
    scores = score_captions(*truth, java=True)
    assert scores['meteor'].overall == scores['spice'].overall == scores['spice'].per_image[0] == 0.25


# --- the metric ---

CAPTIONS = {3: ['a red dog', 'the dog is red'], 1: ['two cats on a mat', 'cats']}


@pytest.fixture
def evaluate(tmp_path):
    """The metric over predicted captions {image id: text}, in batches of one."""
    annotations = [dict(image_id=i, caption=c) for i, texts in CAPTIONS.items() for c in texts]
    path = tmp_path / 'captions.json'
    path.write_text(json.dumps(dict(images=[], annotations=annotations)))
    vocab = tmp_path / 'vocab.model'
    train_vocabulary([a['caption'] for a in annotations], vocab, 30)
    tokenizer = SentencePieceTokenizer(str(vocab))

    def run(captions, **options):
        captions_metric = CaptionMetrics(str(path), dict(vocab=str(vocab)), **options)
        for image_id, text in captions:
            ids = [*tokenizer(text)[1:], tokenizer.eos_id, 5]  # what follows [EOS] is no part of it
            captions_metric.process({}, dict(image_id=torch.tensor([image_id]), tokens=torch.tensor([ids])))
        return captions_metric.evaluate(len(captions))

    run.path = path
    return run


def test_the_metric_decodes_and_scores(evaluate, tmp_path):
    metrics = evaluate([(1, 'cats'), (3, 'a red dog')], java=False, out_file=str(tmp_path / 'out.json'))
    expected = score_captions({1: 'cats', 3: 'a red dog'}, CAPTIONS)
    assert metrics == {name: score.overall for name, score in expected.items()}
    assert set(metrics) == {'bleu_1', 'bleu_2', 'bleu_3', 'bleu_4', 'rouge_l', 'cider'}
    assert json.loads((tmp_path / 'out.json').read_text()) == [
        dict(image_id=1, caption='cats'),
        dict(image_id=3, caption='a red dog'),
    ]


@pytest.mark.parametrize(
    'captions, message',
    [
        ([(1, 'cats'), (1, 'cats'), (3, 'dog')], '1 images were captioned more than once'),
        ([(1, 'cats')], 'has 1 images that were not captioned; the first is 3'),
        ([(1, 'cats'), (3, 'dog'), (8, 'dog')], 'lacks 1 images that were captioned; the first is 8'),
    ],
)
def test_a_wrong_set_of_images_is_refused(evaluate, captions, message):
    with pytest.raises(ValueError, match=message):
        evaluate(captions)


def test_references_in_order_of_first_appearance(evaluate):
    assert list(load_references(evaluate.path).items()) == list(CAPTIONS.items())
    evaluate.path.write_text(json.dumps(dict(annotations=[dict(image_id=1)])))
    with pytest.raises(ValueError, match="has no key 'caption'"):
        load_references(evaluate.path)


def test_the_constant_caption_is_the_one_that_scores_best_for_all():
    captions = [['a dog runs', 'one dog in the park'], ['the cat sits'], ['a dog sits in the grass'], ['two birds']] * 2
    references = [tokenize(texts) for texts in captions]
    candidates = list(dict.fromkeys(text for texts in captions for text in texts))
    scores = [cider_d(tokenize([text]) * len(captions), references).overall for text in candidates]
    assert max(scores) > sorted(scores)[-2]
    assert choose_constant_caption(captions) == candidates[scores.index(max(scores))]


def test_captions_that_do_not_beat_the_constant_one_are_warned_of(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr('soho.evaluation.baselines.print_log', lambda text, **options: said.append(text))
    captions = {1: 'a dog runs', 2: 'the cat sits', 3: 'a dog sits'}
    items = [dict(id=number, image_id=number, caption=text) for number, text in captions.items()]
    (tmp_path / 'captions.json').write_text(json.dumps(dict(annotations=items)))
    monkeypatch.setattr('soho.evaluation.captions.metric.SentencePieceTokenizer', lambda **options: None)
    evaluator = CaptionMetrics(str(tmp_path / 'captions.json'), tokenizer={}, constant_caption='a dog')
    always = evaluator.compute_metrics([metric.Record(number, 'a dog') for number in captions])
    assert always['cider'] == always['cider_constant'] > 0 and "always giving 'a dog'" in said.pop()
    better = evaluator.compute_metrics([metric.Record(number, text) for number, text in captions.items()])
    assert better['cider'] > better['cider_constant'] == always['cider_constant'] and not said
