"""Inferencers: what a checkpoint is asked, in every form, and that the answers are those of an evaluation."""

import io
import json
import zipfile
from dataclasses import replace
from itertools import chain
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

import soho
from soho.apis import commands
from soho.apis.frozen_cnn import FrozenCNN
from soho.apis.inferencer import Query
from soho.apis.model_card import write_model_card
from soho.apis.opening import open_model
from soho.datasets.storage.image_store import ImageError
from soho.datasets.tokenizer import SentencePieceTokenizer
from soho.engine import Runner
from soho.engine.checkpoint.adapters.official import to_official
from soho.engine.checkpoint.inference_spec import InferenceSpec, describe_run, read_spec, save_weights
from soho.engine.checkpoint.read import CheckpointError
from soho.engine.checkpoint.vocabulary import vocabulary_of
from soho.errors import UserError
from soho.evaluation.dump import PredictionDump
from soho.paths import CONFIGS, RESOURCES
from soho.registry import MODELS

SHIPPED = 'soho_vqa_synthetic'


@pytest.fixture(scope='module')
def vqa():
    """The model that ships, on the CPU."""
    return soho.load(SHIPPED, device='cpu')


@pytest.fixture
def picture():
    """(48, 64, 3), random."""
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def png(picture):
    data = io.BytesIO()
    Image.fromarray(picture).save(data, 'png')
    return data.getvalue()


@pytest.fixture
def trained(tiny_config, tmp_path):
    """A run of three steps with its checkpoint."""
    changes = {'default_hooks.checkpoint': dict(type='CheckpointHook', by_epoch=False, interval=3)}
    runner = Runner.from_cfg(tiny_config('vqa', iters=3, **changes))
    runner.train()
    return runner, tmp_path / 'run' / 'iter_3.pth'


def test_answers_are_those_of_an_evaluation(trained, synthetic, tmp_path, monkeypatch):
    runner, checkpoint = trained
    dump = PredictionDump(out_file=str(tmp_path / 'predictions.npz'))
    runner.test_evaluator.metrics.append(dump)
    runner.test()
    predictions = np.load(tmp_path / 'predictions.npz')
    evaluated = dict(zip(predictions['question_id'].tolist(), 1 / (1 + np.exp(-predictions['logits']))))

    monkeypatch.chdir(tmp_path)  # the checkpoint names no file that is here
    for file in ('vocab.txt', 'val_data_vqa.json'):
        assert not (tmp_path / file).exists()
    config = torch.load(checkpoint, weights_only=True)['meta']
    config['cfg'] = config['cfg'].replace(str(synthetic), 'elsewhere')
    torch.save(dict(torch.load(checkpoint, weights_only=True), meta=config), 'moved.pth')
    vqa = soho.VQA('moved.pth')
    dataset = json.loads((synthetic / 'val_data_vqa.json').read_text())['data']
    pictures = zipfile.ZipFile(synthetic / 'val2014.zip')
    queries, ids = [], []
    for record in dataset:
        queries.append(
            vqa.query(pictures.read(f'val2014/{record["file_name"]}'), [q['question'] for q in record['vqa']])
        )
        ids.append([q['question_id'] for q in record['vqa']])
    asked = dict(zip(chain(*ids), chain(*vqa.predict(queries, batch_size=3))))
    assert asked.keys() == evaluated.keys() and len(asked) > 50
    for question, scores in asked.items():
        np.testing.assert_allclose(scores, evaluated[question], atol=1e-5)
    assert np.ptp([scores.max() for scores in asked.values()]) > 1e-3


def test_a_picture_in_any_form_gives_the_same_answers(vqa, picture, tmp_path):
    path = tmp_path / 'a.png'
    path.write_bytes(png(picture))
    question = 'What color is the star?'
    answers = vqa(picture, question)
    assert [set(item) for item in answers] == [{'answer', 'score'}] * 5
    assert answers == sorted(answers, key=lambda item: -item['score']) and json.dumps(answers)
    for form in (str(path), path, path.read_bytes(), Image.open(path), np.dstack([picture, picture[..., :1]])):
        assert vqa(form, question) == answers


def test_lists_folders_and_zips(vqa, picture, tmp_path):
    pictures = [picture, picture[::-1].copy(), np.ascontiguousarray(picture.transpose(1, 0, 2)), picture[:, :40].copy()]
    questions = ['Is there a star?', 'What color is the circle?', 'How many shapes are there?', 'Is it grass?']
    single = [vqa(*pair) for pair in zip(pictures, questions)]

    def close(found):
        assert [[a['answer'] for a in row[:1]] for row in found] == [[a['answer'] for a in row[:1]] for row in single]
        np.testing.assert_allclose([r[0]['score'] for r in found], [r[0]['score'] for r in single], atol=1e-5)

    close(vqa(pictures, questions))
    close(vqa(pictures, questions, batch_size=1))
    first = vqa(picture, questions)
    assert [row[0]['answer'] for row in first] == [vqa(picture, question)[0]['answer'] for question in questions]
    (tmp_path / 'album' / 'deep').mkdir(parents=True)
    for name, image in zip(('b.png', 'a.png', 'deep/c.PNG'), pictures):
        (tmp_path / 'album' / name).write_bytes(png(image))
    (tmp_path / 'album' / 'notes.txt').write_text('no picture')
    found = vqa(tmp_path / 'album', questions[0])
    assert list(found) == ['a.png', 'b.png', 'deep/c.PNG'] and found['b.png'][0]['answer'] == single[0][0]['answer']
    with zipfile.ZipFile(tmp_path / 'zipped.zip', 'w') as file:
        file.writestr('zipped/b.png', png(picture))
    assert vqa(tmp_path / 'zipped.zip', questions[0])['b.png'][0]['answer'] == found['b.png'][0]['answer']


@pytest.mark.parametrize(
    'images, questions, sentence',
    [
        ('missing.jpg', 'Is it?', 'there is no image missing.jpg'),
        (b'no picture', 'Is it?', 'the bytes given cannot be decoded .no known image format'),
        (np.zeros((4, 4), float), 'Is it?', 'an array of pixels is uint8, 0 to 255, and this one is float64'),
        (np.zeros((3, 4, 5), np.uint8), 'Is it?', r'shape .height, width, 3., RGB, and this one \(3, 4, 5\)'),
        (3, 'Is it?', 'a PIL image or an array, and this one is a int'),
        (np.zeros((4, 4, 3), np.uint8), ' ', "a question is a text that is not empty, and this one is ' '"),
        ([np.zeros((4, 4, 3), np.uint8)], ['a?', 'b?'], '1 image and 2 questions'),
        (np.zeros((4, 4, 3), np.uint8), 3, 'questions are a text or a list of texts, and this is 3'),
        (np.zeros((4, 4, 3), np.uint8), [3], 'a question is a text that is not empty, and this one is 3'),
    ],
)
def test_what_cannot_be_asked_is_said(vqa, images, questions, sentence):
    with pytest.raises(UserError, match=sentence):
        vqa(images, questions)


def test_a_broken_picture_among_others_keeps_its_place(vqa, picture):
    queries = [vqa.query(image, ['Is it?']) for image in (picture, b'', picture)]
    first, broken, last = vqa.predict(queries, return_errors=True)
    assert isinstance(broken, ImageError)
    np.testing.assert_allclose(first, last, atol=1e-6)


@pytest.fixture
def album(picture, tmp_path):
    """A folder of three pictures, the second of them broken."""
    folder = tmp_path / 'album'
    folder.mkdir()
    for name in ('a.png', 'c.png'):
        (folder / name).write_bytes(png(picture))
    (folder / 'b.jpg').write_bytes(b'no picture')
    return folder


def test_a_broken_picture_of_a_folder_is_skipped_and_named(vqa, album, picture):
    with pytest.warns(UserWarning, match='1 of 3 images .* left out: b.jpg; of the first: .*b.jpg') as warned:
        found = vqa(album, 'Is it?')
    assert list(found) == ['a.png', 'c.png']
    assert found['a.png'][0]['answer'] == vqa(picture, 'Is it?')[0]['answer']
    assert [warning.filename for warning in warned] == [__file__]
    with pytest.raises(ImageError, match=r'b\.jpg .* cannot be decoded'):
        vqa(album, 'Is it?', on_error='raise')
    for name in ('a.png', 'c.png'):
        (album / name).write_bytes(b'')
    with pytest.raises(UserError, match='none of the 3 images can be read; of the first: .*a.png'):
        vqa(album, 'Is it?')


def test_of_a_list_every_picture_keeps_its_place(vqa, album, picture):
    paths = [album / name for name in ('a.png', 'b.jpg', 'nothing.png', 'c.png')]
    with pytest.raises(ImageError):
        vqa(paths, 'Is it?')
    with pytest.warns(UserWarning, match='2 of 4 images .* left out: 1, 2;'):
        found = vqa(paths, ['Is it?', 'a?', 'b?', 'Is it?'], on_error='skip')
    assert found[1:3] == [None, None] and found[0][0]['answer'] == found[3][0]['answer']
    extractor = soho.FeatureExtractor(SHIPPED, device='cpu')
    with pytest.warns(UserWarning, match='2 of 4 images'):
        vectors = extractor(paths, on_error='skip')
    assert vectors.shape == (4, 128) and np.isnan(vectors).all(1).tolist() == [False, True, True, False]
    with pytest.raises(ImageError):  # of a single picture there is nothing else to give
        vqa(album / 'b.jpg', 'Is it?', on_error='skip')
    with pytest.raises(UserError, match="on_error is 'ignore'; it is one of raise, skip"):
        vqa(paths, 'Is it?', on_error='ignore')


def test_what_pillow_cannot_finish_and_nobody_may_read_are_broken_pictures(vqa, picture, tmp_path):
    (tmp_path / 'cut.png').write_bytes(png(picture)[:900])
    with pytest.raises(ImageError, match='cut.png cannot be decoded'):
        vqa(Image.open(tmp_path / 'cut.png'), 'Is it?')
    (tmp_path / 'loop.png').symlink_to(tmp_path / 'loop.png')
    with pytest.raises(ImageError, match='the image .*loop.png cannot be read: Too many levels'):
        vqa(tmp_path / 'loop.png', 'Is it?')


@pytest.mark.parametrize(
    'canvas, rows, size',
    [
        ([(80, 96)], 1, 32),  # small ones gain by company
        ([(608, 1024)], 1, 8),  # as many as fit into the memory
        ([(608, 1024), (608, 1024)], 1, 4),
        ([(80, 96)], 64, 8),
        ([(9000, 9000)], 1, 1),
    ],
)
def test_a_batch_holds_what_is_fastest_for_its_pictures(vqa, canvas, rows, size):
    assert vqa._find_batch_size(canvas, rows) == size


def test_a_batch_has_pictures_of_one_shape(vqa, picture, monkeypatch):
    sizes = []
    forward = vqa.forward
    monkeypatch.setattr(vqa, 'forward', lambda samples: sizes.append(len(samples)) or forward(samples))
    pictures = [picture, np.ascontiguousarray(picture.transpose(1, 0, 2))] * 35
    found = vqa(pictures, 'Is it?')
    assert sizes == [32, 32, 3, 3] and len(found) == 70
    assert [row[0]['answer'] for row in found[:2]] == [row[0]['answer'] for row in found[68:]]
    sizes.clear()
    assert len(vqa(pictures, 'Is it?', batch_size=20)) == 70 and sizes == [20, 15, 20, 15]


def test_one_file_holds_everything(vqa, picture, tmp_path):
    answers = vqa(picture, 'Is there a star?')
    assert 'vocab' not in vqa.spec.pipeline[2]['tokenizer']  # no path of the machine on which it was made
    vqa.save(tmp_path / 'model.safetensors')
    assert soho.load(tmp_path / 'model.safetensors', device='cpu')(picture, 'Is there a star?') == answers
    vqa.save_pretrained(tmp_path / 'folder')
    card = (tmp_path / 'folder' / 'README.md').read_text()
    for part in ("soho.VQA('OWNER/NAME')", 'train_data_vqa.json', 'make demo', '| accuracy | 84.1827 |', 'epoch: 8'):
        assert part in card
    assert soho.VQA.from_pretrained(tmp_path / 'folder', device='cpu')(picture, 'Is there a star?') == answers
    said = (
        r'was trained on a VQADataset, and Captioner asks .* CaptioningDataset: ask it by soho\.VQA \(.* `soho ask`\)'
    )
    with pytest.raises(CheckpointError, match=said):
        soho.Captioner(tmp_path / 'folder')


def test_a_run_says_how_it_was_started(tmp_path):
    assert describe_run(None, str(CONFIGS / 'VQA' / 'soho_easyvqa.py'))['config_name'] == 'VQA/soho_easyvqa'
    assert describe_run(None, str(tmp_path / 'mine.py'))['config_name'] == 'mine'
    assert describe_run(None, None) == dict(vocabulary={})
    meta = dict(cfg="model = dict(type='SOHO')", config_name='VQA/soho_easyvqa', epoch=3, iter=9)
    history = dict(history=torch.tensor([1.0, 2.5]), counts=torch.ones(2))
    hub = dict(log_scalars={'val/accuracy': history, 'val/time': history, 'train/loss': history})
    hub['runtime_info'] = dict(figures_iter=9)
    spec = read_spec(dict(meta=meta, message_hub=hub, state_dict={}), 'a.pth')
    facts = dict(epoch=3, iter=9, command='soho train VQA/soho_easyvqa')
    assert spec.facts == dict(facts, figures=dict(accuracy=2.5))
    # Weights that were saved before they were validated: the figures are of others.
    earlier = dict(hub, runtime_info=dict(figures_iter=6))
    assert read_spec(dict(meta=meta, message_hub=earlier, state_dict={}), 'a.pth').facts == facts
    assert '```bash\nsoho train VQA/soho_easyvqa\n```' in write_model_card('VQA', spec)


@pytest.mark.parametrize('device', ['fpga', 'cuda:77'])
def test_a_device_that_is_not_here_is_a_sentence(device):
    with pytest.raises(UserError, match=f'the device {device} is not here'):
        soho.load(SHIPPED, device=device)
    with pytest.raises(UserError, match=f'the device {device} is not here'):
        FrozenCNN('random', dict(depth=18), device=device)


def test_push_to_hub_uploads_what_from_pretrained_reads(vqa, monkeypatch, tmp_path):
    uploaded = {}

    def upload(self, *, folder_path, repo_id, **_):
        uploaded.update({file.name: file.read_bytes() for file in folder_path.iterdir()})
        return repo_id

    monkeypatch.setattr(
        'huggingface_hub.HfApi.create_repo', lambda self, repo_id, **_: type('R', (), dict(repo_id=repo_id))
    )
    monkeypatch.setattr('huggingface_hub.HfApi.upload_folder', upload)
    assert vqa.push_to_hub('owner/name') == 'owner/name'
    assert b"model = soho.VQA('owner/name')" in uploaded['README.md']
    assert set(uploaded) == {'model.safetensors', 'config.json', 'README.md'}
    (tmp_path / 'model.safetensors').write_bytes(uploaded['model.safetensors'])
    monkeypatch.setattr('huggingface_hub.hf_hub_download', lambda *_, **__: str(tmp_path / 'model.safetensors'))
    assert soho.load('owner/name').spec == vqa.spec == soho.load('hf://owner/name@main').spec


def test_a_map_and_its_answer(vqa, picture):
    found = vqa.explain(picture, 'What color is the star?')
    np.testing.assert_allclose(
        [a['score'] for a in found.result], [a['score'] for a in vqa(picture, 'What color is the star?')], atol=1e-5
    )
    assert found.heat.shape == found.picture.shape[:2] == (72, 96) and 0 <= found.heat.min() < found.heat.max() <= 1
    assert found.draw().size == (512, 384)
    other = vqa.explain(picture, 'What color is the star?', answer='red')
    assert not np.allclose(other.heat, found.heat)
    with pytest.raises(UserError, match="does not know the answer 'mauve'"):
        vqa.explain(picture, 'What color is the star?', answer='mauve')


def test_features_and_words(make_model, soho_config, synthetic, picture, tmp_path):
    model = make_model('pretrain')
    pipeline = [dict(type='LoadImage'), dict(type='ResizeKeepRatio', scale=(64, 48))]
    save_weights(tmp_path / 'a.safetensors', model.state_dict(), InferenceSpec(soho_config('pretrain'), pipeline))
    extractor = soho.load(tmp_path / 'a.safetensors', device='cpu')
    assert isinstance(extractor, soho.FeatureExtractor)
    vectors = extractor([picture, picture[:, :30].copy()])
    assert vectors.shape == (2, 128) and vectors.dtype == np.float32
    np.testing.assert_allclose(extractor(picture[:, :30].copy()), vectors[1], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(extractor(picture, normalize=True)), 1, atol=1e-5)
    cells = extractor(picture, maps=True)
    assert cells.shape == (6, 8, 128)
    np.testing.assert_allclose(cells.mean((0, 1)), vectors[0], atol=1e-5)
    found = extractor.find_words(picture)
    assert found.cells.shape == (6, 8) and sum(item['share'] for item in found.words) == pytest.approx(1)
    batch = model.data_preprocessor(extractor.collate([extractor.prepare(Query([picture], {}))]))
    words = model.encode_image(batch['image'], batch['image_size']).words.view(8, 8)[:6]
    assert (found.cells == words.numpy()).all() and found.picture.size == (512, 384)


@pytest.mark.parametrize(
    'before, now',
    [
        (dict(type='ResizeShortest', size=40), dict(type='ResizeShortEdge', size=40)),
        (
            dict(type='ResizeShortEdge', short_edges=(40,), long_edge=50),
            dict(type='RandomResizeShortEdge', short_edges=(40,), long_edge=50),
        ),
    ],
)
def test_a_pipeline_with_earlier_names_is_the_same(before, now, make_model, soho_config, picture, tmp_path):
    vectors, weights = [], make_model('pretrain').state_dict()
    for number, resize in enumerate((before, now)):
        spec = InferenceSpec(soho_config('pretrain'), [dict(type='LoadImage'), resize])
        save_weights(tmp_path / f'{number}.safetensors', weights, spec)
        vectors.append(soho.load(tmp_path / f'{number}.safetensors', device='cpu')(picture))
    assert np.array_equal(*vectors)


def test_an_answer_shows_the_words_that_its_picture_holds(vqa, make_model, soho_config, picture, tmp_path, capsys):
    with pytest.raises(UserError, match='has no visual dictionary: its neck is PlainNeck'):
        vqa.explain(picture, 'Is it?', words=True)
    model = dict(soho_config('pretrain'), heads=soho_config('vqa')['heads'])
    model['heads']['vqa']['num_classes'] = 2
    model['language']['vocab_size'] = vqa.spec.model['language']['vocab_size']
    spec = replace(vqa.full_spec, model=model, class_names=['yes', 'no'])
    save_weights(tmp_path / 'a.safetensors', MODELS.build(model).state_dict(), spec)
    asked = soho.load(tmp_path / 'a.safetensors', device='cpu')
    found = asked.explain(picture, 'Is it?', words=True)
    assert sum(entry['share'] for entry in found.words.words) == pytest.approx(1)
    alone = asked.explain(picture, 'Is it?')
    assert alone.words is None and found.draw().size == (2 * alone.draw().width, alone.draw().height)
    Image.fromarray(picture).save(tmp_path / 'p.png')
    drawing = tmp_path / 'words.png'
    given = [f'{tmp_path}/p.png', '--model', f'{tmp_path}/a.safetensors', '--words', str(drawing)]
    commands.main(['ask', *given, 'Is it?'])
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 2 and f'{drawing}: words {found.words.words[0]["word"]} (' in printed.err
    drawing.unlink()
    commands.main(['features', *given])
    assert Image.open(drawing).size == found.words.picture.size
    with pytest.raises(SystemExit, match='--words draws one picture: give one image'):
        commands.main(['features', str(tmp_path), *given[1:]])


def test_a_cnn_without_config_gives_features(picture, tmp_path):
    from torchvision.models import resnet18

    net = resnet18().eval()
    torch.save(net.state_dict(), tmp_path / 'resnet18.pth')
    extractor = soho.load(tmp_path / 'resnet18.pth', device='cpu')
    found = extractor(picture)
    net.fc = torch.nn.Identity()
    with torch.no_grad():
        batch = extractor.model.data_preprocessor(extractor.collate([extractor.prepare(Query([picture], {}))]))
        np.testing.assert_allclose(found, net(batch['image'])[0], rtol=1e-3, atol=1e-4)
    extractor.save(tmp_path / 'a.safetensors')
    np.testing.assert_allclose(soho.load(tmp_path / 'a.safetensors', device='cpu')(picture), found, atol=1e-6)
    with pytest.raises(
        CheckpointError, match="does not say with which config it was trained: name it, as in config='.* --config VQA"
    ):
        soho.VQA(tmp_path / 'resnet18.pth')


@pytest.fixture
def captions(synthetic, tmp_path):
    """A small model of captions with random weights, in the checkpoint of a run."""
    tokenizer = dict(vocab=str(synthetic / 'captions.model'), max_length=12)
    config = dict(
        model=dict(
            type='VirTex',
            backbone=dict(type='ResNet', depth=18, num_stages=2, out_indices=(1,)),
            language=dict(
                type='CaptionTransformer', visual_size=128, vocab_size=150, hidden_size=64, initializer_range=0.2
            ),
            heads=dict(captioning=dict(type='CaptioningHead', decoder=dict(type='BeamSearch', max_steps=8))),
        ),
        test_dataloader=dict(
            collate_fn=dict(type='collate', size_divisor=16),
            dataset=dict(
                type='CaptioningDataset',
                pipeline=[
                    dict(type='LoadImage'),
                    dict(type='ResizeKeepRatio', scale=(64, 48)),
                    dict(type='TokenizeCaption', tokenizer=dict(tokenizer, vocab='elsewhere/captions.model')),
                    dict(type='PackSample', keys=['image_id', 'caption_tokens', 'caption_lengths']),
                ],
            ),
        ),
    )
    model = MODELS.build(config['model'])
    model.init_weights()
    own = SentencePieceTokenizer(**tokenizer)
    meta = dict(cfg=Config(config).pretty_text, vocabulary=vocabulary_of(SimpleNamespace(tokenizer=own)))
    torch.save(dict(meta=meta, state_dict=model.state_dict()), tmp_path / 'captions.pth')
    return tmp_path / 'captions.pth', model.eval(), own


def test_captions(captions, picture):
    path, model, tokenizer = captions
    captioner = soho.load(path, device='cpu')
    assert isinstance(captioner, soho.Captioner)
    pictures = [picture, 255 - picture, picture[:, :40].copy()]
    found = captioner(pictures)
    for image, result in zip(pictures, found):
        sample = captioner.prepare(captioner.query(image))
        with torch.no_grad():
            (prediction,) = model.test_step(captioner.collate([sample]))
        assert result['caption'] == tokenizer.decode(prediction['tokens'][0]) and 0 < result['score'] <= 1
    assert captioner(picture)['caption'] == found[0]['caption']
    explained = captioner.explain(picture)
    assert explained.result['caption'] == found[0]['caption'] and explained.heat.max() == pytest.approx(1, abs=0.2)


def test_a_checkpoint_without_vocabulary_or_answers_takes_them(captions, vqa, synthetic, picture, tmp_path):
    path, _, _ = captions
    checkpoint = torch.load(path, weights_only=True)
    del checkpoint['meta']['vocabulary']
    torch.save(checkpoint, path)
    with pytest.raises(UserError, match='does not hold its vocabulary, and elsewhere/captions.model is not here: give'):
        soho.load(path)
    captioner = soho.load(path, vocabulary=str(synthetic / 'captions.model'), device='cpu')
    captioner.save(tmp_path / 'whole.safetensors')
    assert str(synthetic).encode() not in (tmp_path / 'whole.safetensors').read_bytes()
    assert soho.load(tmp_path / 'whole.safetensors', device='cpu')(picture) == captioner(picture)

    answers = tmp_path / 'answers.txt'
    answers.write_text('\n'.join(vqa.spec.class_names) + '\n', encoding='utf-8-sig')  # as Windows' editors write it
    torch.save(dict(state_dict=vqa.state), tmp_path / 'bare.pth')
    with pytest.raises(CheckpointError, match='does not say with which config'):
        soho.VQA(tmp_path / 'bare.pth')
    (tmp_path / 'vocab.txt').write_text(vqa.spec.vocabulary['wordpiece'])
    config = str(RESOURCES / 'models' / SHIPPED / 'config.py')
    options = dict(config=config, vocabulary=str(tmp_path / 'vocab.txt'), device='cpu')
    with pytest.raises(UserError, match='chooses among 42 answers and has the names of 0: give them'):
        soho.VQA(tmp_path / 'bare.pth', **options)
    torch.save(dict(state_dict=to_official(vqa.state)), tmp_path / 'official.pth')
    for file in ('bare.pth', 'official.pth'):
        asked = soho.VQA(tmp_path / file, class_names=answers, **options)
        assert asked(picture, 'Is there a star?')[0]['answer'] == vqa(picture, 'Is there a star?')[0]['answer']


def test_what_a_file_says_is_data(vqa, tmp_path, monkeypatch):
    import builtins

    imported = []
    original = builtins.__import__
    monkeypatch.setattr(builtins, '__import__', lambda name, *rest: imported.append(name) or original(name, *rest))
    hostile = (
        (
            dict(vqa.spec.model, neck=dict(type='antigravity')),
            "of the type 'antigravity', which nobody has registered: .* --config mine.py",
        ),
        (dict(vqa.spec.model, neck=dict(type='os.system')), "has the type 'os.system'; it is one word"),
        (dict(vqa.spec.model, _scope_='evil'), 'has a _scope_, which would import a package'),
        (dict(vqa.spec.model, wings=2), "cannot be built: .*unexpected keyword argument 'wings'"),
    )
    for model, sentence in hostile:
        spec = InferenceSpec(model, vqa.spec.pipeline, 'VQADataset', vocabulary=vqa.spec.vocabulary)
        save_weights(tmp_path / 'a.safetensors', vqa.state, spec)
        with pytest.raises(CheckpointError, match=sentence):
            soho.load(tmp_path / 'a.safetensors')
    steps = [dict(type='antigravity')]
    save_weights(tmp_path / 'a.safetensors', vqa.state, InferenceSpec(vqa.spec.model, steps, 'VQADataset'))
    with pytest.raises(CheckpointError, match='pipeline of .* nobody has registered'):
        soho.load(tmp_path / 'a.safetensors')
    assert not {'antigravity', 'evil'} & set(imported)
    # A part that would read a file when it is built does not.
    backbone = dict(vqa.spec.model['backbone'], init_cfg=dict(type='Pretrained', checkpoint='/etc/passwd'))
    spec = InferenceSpec.from_json(InferenceSpec(dict(vqa.spec.model, backbone=backbone), []).to_json(), 'a')
    assert spec.model['backbone']['init_cfg'] and 'init_cfg' not in str(open_model(SHIPPED).spec)


def test_retrieval(soho_config, vqa, picture, tmp_path):
    config = soho_config('pretrain', heads=dict(itm=dict(type='RetrievalHead', hidden_size=32)))
    words = '\n'.join(vqa.spec.vocabulary['wordpiece'].split('\n')[:60])
    model = MODELS.build(config)
    model.init_weights()
    spec = InferenceSpec(config, vqa.spec.pipeline, 'RetrievalDataset', {}, [], dict(wordpiece=words))
    save_weights(tmp_path / 'a.safetensors', model.state_dict(), spec)
    retriever = soho.load(tmp_path / 'a.safetensors', device='cpu')
    assert isinstance(retriever, soho.Retriever)
    pictures, captions = [picture, 255 - picture, picture[:, :40].copy()], ['a b', 'c d e', 'f']
    scores = retriever.score(pictures, captions)
    assert scores.shape == (3, 3)
    for image, row in zip(pictures, scores):
        sample = retriever.prepare(retriever.query(image, captions))
        with torch.no_grad():
            (prediction,) = model.eval().test_step(retriever.collate([sample]))
        np.testing.assert_allclose(row, prediction['match_score'], atol=1e-4)
    ranked = retriever(pictures, captions[0])
    assert [item['image'] for item in ranked] == np.argsort(-scores[:, 0]).tolist()
    ranked = retriever(picture, captions, top_k=2)
    assert [item['caption'] for item in ranked] == [captions[i] for i in np.argsort(-scores[0])[:2]]
    for wrong in ((pictures, captions), (picture, 'a b')):
        with pytest.raises(UserError, match='several images and one caption, or one image and a list of captions'):
            retriever(*wrong)


def classifier(soho_config, num_images, num_classes):
    """A small SOHO that chooses a class of a statement about images."""
    head = dict(
        type='ClassificationHead',
        hidden_size=32,
        num_classes=num_classes,
        loss='ce',
        num_images=num_images,
        dropout=0.0,
    )
    return soho_config('vqa', heads=dict(statement=head))


@pytest.mark.parametrize(
    'dataset, kind, names, num_images',
    [
        ('SNLIVEDataset', 'VisualEntailment', ['contradiction', 'neutral', 'entailment'], 1),
        ('NLVRDataset', 'VisualReasoning', ['False', 'True'], 1),
        ('NLVR2Dataset', 'VisualReasoning', ['False', 'True'], 2),
    ],
)
def test_statements(dataset, kind, names, num_images, soho_config, vqa, picture, tmp_path):
    config = classifier(soho_config, num_images, len(names))
    words = '\n'.join(vqa.spec.vocabulary['wordpiece'].split('\n')[:60])  # as many as the model has
    model = MODELS.build(config)
    model.init_weights()
    spec = InferenceSpec(config, vqa.spec.pipeline, dataset, dict(size_divisor=16), names, dict(wordpiece=words))
    save_weights(tmp_path / 'a.safetensors', model.state_dict(), spec)
    asked = soho.load(tmp_path / 'a.safetensors', device='cpu')
    assert type(asked) is getattr(soho, kind)
    pictures = [picture, 255 - picture][:num_images]
    found = asked(pictures if num_images > 1 else picture, 'a b c')
    assert {item['answer'] for item in found} == set(names)
    assert sum(item['score'] for item in found) == pytest.approx(1, abs=1e-5)
    two = asked(pictures if num_images > 1 else picture, ['a b c', 'd e'])
    assert len(two) == 2 and two[0][0]['answer'] == found[0]['answer']
    if kind == 'VisualReasoning':
        with pytest.raises(UserError, match=f'reads {num_images} pictures together, and 3 are given'):
            asked([picture] * 3, 'a b c')
    if num_images > 1:
        sample = asked.prepare(asked.query(pictures, ['a b c']))
        with torch.no_grad():
            (prediction,) = model.eval().test_step(asked.collate([sample]))
        wanted = prediction['logits'].softmax(1)[0].max().item()
        assert found[0]['score'] == pytest.approx(wanted, abs=1e-5)
        with pytest.raises(UserError, match='a map is of one'):
            asked.explain(picture, 'a b c')


@pytest.mark.parametrize(
    'text', ['[]', '{"model": {}}', '{"model": [], "pipeline": []}', '{', '{"model": {}, "pipeline": [3]}']
)
def test_a_damaged_description_is_refused(text):
    with pytest.raises(CheckpointError, match='the description in a.safetensors cannot be used'):
        InferenceSpec.from_json(text, 'a.safetensors')


def test_unknown_models_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="no model of that name; did you mean 'soho_vqa_synthetic'"):
        soho.load('soho_vqa_synthetics')
    with pytest.raises(
        CheckpointError, match='has neither model.safetensors, which save_pretrained writes, nor a checkpoint'
    ):
        soho.load(tmp_path)
    for ask in (soho.load, soho.VQA.from_pretrained):
        with pytest.raises(CheckpointError, match='owner/name is no file here, and its .* could not be fetched'):
            ask('owner/name')
