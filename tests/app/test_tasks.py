"""What each kind of model is asked on the page, by several people at once, and what is refused."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

import soho
from soho.app import tasks
from soho.app.tasks import find_task
from soho.engine.checkpoint.inference_spec import InferenceSpec, save_weights
from soho.errors import UserError
from soho.registry import MODELS

QUESTIONS = ('What color is the circle?', 'What is behind the ring?', 'How many circles are there?', 'Is there a star?')


@pytest.fixture(scope='module')
def vqa():
    """The model that ships, on the CPU."""
    return soho.load('soho_vqa_synthetic', device='cpu')


@pytest.fixture(scope='module')
def sample():
    with open(soho.sample_image(), 'rb') as file:
        return file.read()


@pytest.fixture
def make_task(soho_config, vqa, tmp_path):
    """The task of a small model with random weights."""

    def make(dataset, names=(), task='vqa', **parts):
        config = soho_config(task, **parts)
        model = MODELS.build(config)
        model.init_weights()
        words = '\n'.join(vqa.spec.vocabulary['wordpiece'].split('\n')[:60])  # as many as the model has
        spec = InferenceSpec(
            config, vqa.spec.pipeline, dataset, dict(size_divisor=16), list(names), dict(wordpiece=words)
        )
        save_weights(tmp_path / 'a.safetensors', model.state_dict(), spec)
        return find_task(soho.load(tmp_path / 'a.safetensors', device='cpu'))

    return make


def classify(num_images, num_classes):
    head = dict(type='ClassificationHead', hidden_size=32, num_classes=num_classes, loss='ce', num_images=num_images)
    return dict(statement=head)


def test_questions(vqa, sample):
    task = find_task(vqa)
    assert task.examples == QUESTIONS  # the sample's answers are known:
    assert [next(iter(task.ask([sample], question))) for question in QUESTIONS] == ['blue', 'grass', '1', 'no']
    found = task.ask([sample], '  Is there a star? ')
    assert list(found.items()) == [(a['answer'], a['score']) for a in vqa(sample, 'Is there a star?')]
    drawn = np.asarray(task.explain([sample], 'Is there a star?'))
    np.testing.assert_array_equal(drawn, np.asarray(vqa.explain(sample, 'Is there a star?').draw()))
    assert (np.asarray(task.explain([sample], 'Is there a star?', 'yes')) != drawn).any()
    assert task.explains and task.explains_each and not task.has_dictionary
    with pytest.raises(UserError, match="does not know the answer 'mauve'"):
        task.explain([sample], 'Is there a star?', 'mauve')


@pytest.mark.parametrize(
    'text, sentence',
    [
        ('', 'Question is empty: type something'),
        (' \n', 'Question is empty'),
        (None, 'Question is empty'),
        (7, 'Question is empty'),
        ('x' * 1001, 'Question has 1001 characters, and may have 1000 at most'),
    ],
)
def test_texts_that_are_refused(text, sentence, vqa):
    with pytest.raises(UserError, match=sentence):
        find_task(vqa).ask([b''], text)


def test_several_people_ask_at_once(vqa, sample):
    """Each gets the own answer and map; without the lock the hooks of one explanation see the pass of another."""
    task = find_task(vqa)
    other = soho.sample_image()
    with Image.open(other) as picture:
        turned = np.asarray(picture.rotate(90, expand=True))  # of another shape
    pictures = [sample, turned]
    wanted = {
        (q, i): (task.ask([p], q), np.asarray(task.explain([p], q))) for q in QUESTIONS for i, p in enumerate(pictures)
    }

    def work(key):
        picture = pictures[key[1]]
        return key, task.ask([picture], key[0]), np.asarray(task.explain([picture], key[0]))

    with ThreadPoolExecutor(8) as pool:
        for key, results, drawn in pool.map(work, list(wanted) * 3):
            assert results == wanted[key][0]
            np.testing.assert_array_equal(drawn, wanted[key][1])


def test_the_model_is_asked_by_one_thread_at_a_time(vqa, sample, monkeypatch):
    task, inside = find_task(vqa), []
    forward = type(vqa).forward

    def watched(self, samples):
        inside.append(1)
        assert len(inside) == 1
        try:
            return forward(self, samples)
        finally:
            inside.pop()

    monkeypatch.setattr(type(vqa), 'forward', watched)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: task.ask([sample], QUESTIONS[number % 4]), range(24)))


def test_a_model_that_looks_through_a_dictionary(make_task, sample):
    neck = dict(
        type='DictionaryNeck', in_channels=128, out_channels=32, pool=1, dictionary=dict(num_words=8, decay=0.9)
    )
    task = make_task('VQADataset', [f'answer {n}' for n in range(10)], neck=neck)
    assert task.has_dictionary and task.explains
    drawing, words = task.find_words([sample])
    assert min(drawing.size) == 384 and 0 < sum(word.share for word in words) <= 1 + 1e-9
    assert words[0].share == max(word.share for word in words) and words[0].color.startswith('#')


def test_a_pretrained_model_shows_its_words(make_task, sample):
    task = make_task('PretrainDataset', task='pretrain')
    assert (
        isinstance(task, tasks.DictionaryTask)
        and task.ask([sample]) == {}
        and task.has_dictionary
        and not task.explains
    )
    assert task.find_words([sample])[1]
    with pytest.raises(UserError, match='gives features, which a page cannot show'):
        make_task('NothingKnown')  # as after fine-tuning: the neck has no dictionary


@pytest.mark.parametrize(
    'dataset, names, pictures', [('NLVR2Dataset', 2, 2), ('NLVRDataset', 2, 1), ('SNLIVEDataset', 3, 1)]
)
def test_statements(dataset, names, pictures, make_task, sample):
    answers = ['False', 'True', 'unknown'][:names]
    task = make_task(dataset, answers, heads=classify(pictures, names))
    assert task.pictures == pictures and task.explains is (pictures == 1)
    found = task.ask([sample] * pictures, 'a b')
    assert set(found) == set(answers) and sum(found.values()) == pytest.approx(1, abs=1e-5)
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_sentences_are_compared(make_task, sample):
    task = make_task('RetrievalDataset', task='pretrain', heads=dict(itm=dict(type='RetrievalHead', hidden_size=32)))
    found = task.ask([sample], 'a b\n\n c d e \na b\nf')
    assert set(found) == {'a b', 'c d e', 'f'} and sum(found.values()) == pytest.approx(1)
    scores = task.model.score([sample], list(found))[0]
    np.testing.assert_allclose(np.log(list(found.values())), scores - np.log(np.exp(scores).sum()), atol=1e-5)
    assert list(scores) == sorted(scores, reverse=True) and task.find_words([sample])[1]
    with pytest.raises(UserError, match='There are 40 sentences, and 32 are compared at most'):
        task.ask([sample], '\n'.join(f'a {n}' for n in range(40)))


def test_captions(synthetic, sample, tmp_path):
    from soho.datasets.tokenizer import SentencePieceTokenizer
    from soho.engine.checkpoint.vocabulary import vocabulary_of

    tokenizer = dict(vocab=str(synthetic / 'captions.model'), max_length=12)
    language = dict(type='CaptionTransformer', visual_size=64, vocab_size=150, hidden_size=64, initializer_range=0.2)
    backbone = dict(type='ResNet', depth=18, num_stages=1, out_indices=(0,))
    heads = dict(captioning=dict(type='CaptioningHead', decoder=dict(type='BeamSearch', max_steps=8)))
    model = MODELS.build(config := dict(type='VirTex', backbone=backbone, language=language, heads=heads))
    model.init_weights()
    steps = [dict(type='LoadImage'), dict(type='ResizeKeepRatio', scale=(64, 48))]
    steps.append(dict(type='TokenizeCaption', tokenizer=tokenizer))
    own = vocabulary_of(type('Data', (), dict(tokenizer=SentencePieceTokenizer(**tokenizer))))
    save_weights(
        tmp_path / 'a.safetensors',
        model.state_dict(),
        InferenceSpec(config, steps, 'CaptioningDataset', vocabulary=own),
    )
    captioner = soho.load(tmp_path / 'a.safetensors', device='cpu')
    task = find_task(captioner)
    wanted = captioner(sample)
    assert task.ask([sample]) == {wanted['caption'] or '(nothing)': wanted['score']}
    assert task.explains and not task.has_dictionary and min(task.explain([sample]).size) == 384
