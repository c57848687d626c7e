"""What many tests share: the synthetic data set, small models, random batches, the tools, short runs."""

import gc
import importlib.util
import itertools
import json
import os

os.environ['HF_HUB_OFFLINE'] = '1'  # before transformers is imported: no test waits for a network

import numpy as np
import pytest
import torch
from mmengine.config import Config

from soho.datasets.collate import collate
from soho.datasets.synthetic import generate_synthetic
from soho.datasets.synthetic.exports.formats import EXPORTS
from soho.engine import Runner
from soho.paths import TOOLS
from soho.registry import MODELS
from tests.warm_python import warm_python
from tools.benchmark.memory import resident

VOCABULARY = 60  # words of the small models


def pytest_runtest_setup(item):
    if item.get_closest_marker('gpu') and not torch.cuda.is_available():
        pytest.skip('needs CUDA')


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _free_models():
    """A runner and its model hold each other, and Python, which counts objects and not bytes, frees them late."""
    before = resident('VmRSS')
    yield
    if resident('VmRSS') - before > 100 * 2**20:
        gc.collect()


@pytest.fixture(autouse=True)
def _plain_configs(monkeypatch):
    """The long paths of temporary folders take yapf seconds to break into lines, seven times a run."""
    monkeypatch.setattr('mmengine.config.config.FormatCode', lambda text, **_: (text, True))


@pytest.fixture(scope='session')
def load_tool():
    """A script below ``tools/`` as a module."""

    def load(name):
        spec = importlib.util.spec_from_file_location(name.replace('/', '_'), TOOLS / f'{name}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope='session')
def commands():
    """Folder of ``python`` and ``soho`` for :func:`tests.documents.type_shell`, which start at once."""
    with warm_python() as folder:
        yield folder


@pytest.fixture(scope='session')
def synthetic(tmp_path_factory, load_tool):
    """Folder of the tiny synthetic data set with the annotation files that the tools make of it."""
    root = tmp_path_factory.mktemp('tiny') / 'synthetic'
    generate_synthetic(root, workers=1)
    for name in ('prepare/pretrain', 'prepare/vqa', 'prepare/object_crops'):
        load_tool(name).main(['--root', str(root)])
    captions = root / 'annotations' / 'captions_train2014.json'
    load_tool('prepare/vocabulary').main([str(captions), '--out', str(root / 'captions.model'), '--size', '150'])
    return root


@pytest.fixture(scope='session')
def small_synthetic(synthetic, tmp_path_factory):
    """A few captions and questions to train on; all to evaluate on."""
    folder = tmp_path_factory.mktemp('few')
    for export in EXPORTS.values():
        export(synthetic)
    captions = json.loads((synthetic / 'coco_cap_train_pre.json').read_text())
    few = [dict(record, captions=record['captions'][:4]) for record in captions[:12]]
    questions = json.loads((synthetic / 'train_data_vqa.json').read_text())
    questions['data'] = [dict(record, vqa=record['vqa'][:2]) for record in questions['data'][:12]]
    (folder / 'captions.json').write_text(json.dumps(few))
    write_nlvr(folder / 'nlvr.jsonl', [record['file_name'] for record in questions['data'][:6]])
    for split in ('val2014', 'test2015'):
        write_gqa(folder, split, synthetic / f'v2_mscoco_{split}_annotations.json')
    (folder / 'questions.json').write_text(json.dumps(questions))
    return dict(
        root=synthetic,
        answers=len(questions['label2ans']),
        PretrainDataset=folder / 'captions.json',
        VQADataset=folder / 'questions.json',
        LabeledImages=synthetic / 'objects_train2014.json',
        folder=folder,
    )


def write_nlvr(path, images):
    """Three examples of NLVR about six pictures."""
    example = dict(sentence='There is a red star.', images=images)
    labels = enumerate(('true', 'false', 'true'))
    path.write_text('\n'.join(json.dumps(dict(example, identifier=f'{n}-0', label=label)) for n, label in labels))


def write_gqa(folder, split, annotations):
    """The questions of VQA annotations and their choices in the form of GQA."""
    kind = dict(structural='query', semantic='attr', detailed='')
    rest = dict(
        question='?', imageId='1', isBalanced=True, types=kind, semantic=[], entailed=[], groups={'global': None}
    )
    items = {
        str(item['question_id']): item['multiple_choice_answer']
        for item in json.loads(annotations.read_text())['annotations']
    }
    questions = {name: dict(rest, answer=answer) for name, answer in items.items()}
    choices = {name: dict(valid=[answer, 'yes'], plausible=[answer]) for name, answer in items.items()}
    (folder / f'gqa_{split}.json').write_text(json.dumps(questions))
    (folder / f'gqa_choices_{split}.json').write_text(json.dumps(choices))


@pytest.fixture(scope='session')
def soho_config():
    """Config of a small SOHO with stride 8 and hidden size 32; keywords replace its parts."""

    def config(task='pretrain', **parts):
        necks = dict(
            pretrain=dict(type='DictionaryNeck', dictionary=dict(num_words=8, decay=0.9)), vqa=dict(type='PlainNeck')
        )
        heads = dict(
            pretrain=dict(mlm=dict(type='MLMHead'), mvm=dict(type='MVMHead'), itm=dict(type='ITMHead', hidden_size=32)),
            vqa=dict(vqa=dict(type='ClassificationHead', hidden_size=32, num_classes=10, dropout=0.0)),
        )
        return dict(
            dict(
                type='SOHO',
                backbone=dict(type='ResNet', depth=18, num_stages=2, out_indices=(1,)),
                neck=dict(in_channels=128, out_channels=32, pool=1, **necks[task]),
                language=dict(
                    type='CrossModalBert',
                    vocab_size=VOCABULARY,
                    hidden_size=32,
                    num_hidden_layers=2,
                    num_attention_heads=2,
                    intermediate_size=64,
                    hidden_dropout_prob=0.0,
                    attention_probs_dropout_prob=0.0,
                ),
                heads=heads[task],
            ),
            **parts,
        )

    return config


@pytest.fixture(scope='session')
def make_model(soho_config):
    """A small SOHO with initialised weights, in eval mode."""

    def make(task='pretrain', **parts):
        model = MODELS.build(soho_config(task, **parts))
        model.init_weights()
        return model.eval()

    return make


VIRTEX_TASKS = ('bicaptioning', 'captioning', 'masked_lm', 'classification')


@pytest.fixture(scope='session')
def make_virtex():
    """A small VirTex for one of ``VIRTEX_TASKS`` with initialised weights, in eval mode."""

    def make(task='bicaptioning', **parts):
        language = dict(
            type='CaptionTransformer',
            visual_size=128,
            vocab_size=VOCABULARY,
            hidden_size=128,
            num_layers=2,
            dropout=0.0,
            max_length=12,
            bidirectional=task == 'bicaptioning',
            causal=task != 'masked_lm',
            initializer_range=0.1,
        )
        heads = dict(
            masked_lm=dict(mlm=dict(type='MaskedCaptionHead')),
            classification=dict(
                classification=dict(type='MultiLabelHead', in_channels=128, num_classes=VOCABULARY, ignore=(0, 1, 2))
            ),
        )
        captioning = dict(captioning=dict(type='CaptioningHead', decoder=dict(type='BeamSearch', max_steps=8)))
        model = MODELS.build(
            dict(
                dict(
                    type='VirTex',
                    backbone=dict(type='ResNet', depth=18, num_stages=2, out_indices=(1,)),
                    language=None if task == 'classification' else language,
                    heads=heads.get(task, captioning),
                ),
                **parts,
            )
        )
        model.init_weights()
        return model.eval()

    return make


@pytest.fixture(scope='session')
def make_caption_batch():
    """A random collated batch for :func:`make_virtex`: four images of 32 x 32, captions of 9, 5, 7 and 3 tokens."""

    def make(seed=0):
        rng = np.random.default_rng(seed)
        samples = []
        for i, length in enumerate((9, 5, 7, 3)):
            caption = np.zeros(9, np.int64)
            caption[:length] = [1, *rng.integers(4, VOCABULARY, length - 2), 2]
            backward, masked, labels = np.zeros((3, 9), np.int64)
            backward[:length] = caption[:length][::-1]
            masked[1] = caption[1]
            labels[:length] = caption[:length]
            samples.append(
                dict(
                    image=rng.integers(0, 256, (32, 32, 3), dtype=np.uint8),
                    image_id=np.int64(100 + i),
                    caption_tokens=caption,
                    noitpac_tokens=backward,
                    caption_lengths=np.int64(length),
                    masked_labels=masked,
                    label_set=labels,
                )
            )
        return collate(samples)

    return make


@pytest.fixture(scope='session')
def make_batch():
    """A random collated batch: one image of each of ``sizes``, ``sentences`` of ``length`` tokens each."""

    def make(sizes=((40, 64), (64, 32), (25, 50)), sentences=2, length=9, seed=0):
        rng = np.random.default_rng(seed)
        shape = (sentences, length)
        samples = []
        for i, size in enumerate(sizes):
            words = rng.integers(1, length + 1, (sentences, 1))
            attention = (np.arange(length) < words).astype(np.int64)
            ids = rng.integers(1, VOCABULARY, shape) * attention
            labels = np.where((rng.random(shape) < 0.3) & (attention == 1), ids, -100)
            labels[0, 0] = ids[0, 0]  # at least one in every sample
            samples.append(
                dict(
                    image=rng.integers(0, 256, (*size, 3), dtype=np.uint8),
                    input_ids=ids,
                    attention_mask=attention,
                    sentence_mask=np.ones(sentences, bool),
                    mlm_labels=labels,
                    itm_labels=rng.integers(0, 2, sentences),
                    mvm_cell=np.float32(rng.random()),
                    mvm_sentences=np.arange(sentences) % 2 == 0,
                    question_id=np.arange(sentences) + 100 * i,
                    answer_labels=np.stack([rng.permutation(10)[:3] for _ in range(sentences)]),
                    answer_scores=rng.random((sentences, 3), dtype=np.float32),
                )
            )
        return collate(samples)

    return make


@pytest.fixture(scope='session')
def preprocess():
    """A batch as the model's preprocessor hands it on."""
    return lambda model, batch: model.data_preprocessor(dict(batch))


_runs = itertools.count()


@pytest.fixture
def tiny_config(synthetic, soho_config, tmp_path):
    """A run of the small SOHO on the tiny data set: ``epochs`` epochs or ``iters`` iterations."""

    def config(task='vqa', epochs=1, iters=None, **changes):
        loop = (
            dict(type='IterBasedTrainLoop', max_iters=iters)
            if iters
            else dict(type='EpochBasedTrainLoop', max_epochs=epochs)
        )
        tokenizer = dict(vocab=str(synthetic / 'vocab.txt'), max_length=12)
        keys = dict(
            pretrain=['mlm_labels', 'itm_labels', 'mvm_cell', 'mvm_sentences'],
            vqa=['question_id', 'answer_labels', 'answer_scores'],
        )[task]
        masking = dict(
            pretrain=[dict(type='MaskTokens', tokenizer=tokenizer), dict(type='DrawVisualMask', prob=0.5)], vqa=[]
        )[task]
        pipeline = [
            dict(type='LoadImage', reduce_to=(64, 48)),
            dict(type='ResizeKeepRatio', scale=(64, 48)),
            dict(type='Tokenize', tokenizer=tokenizer),
            *masking,
            dict(type='PackSample', keys=keys),
        ]
        source = dict(data_root=str(synthetic), sentence_group=6, pipeline=pipeline)
        train = dict(
            pretrain=dict(type='PretrainDataset', ann_file='coco_cap_train_pre.json'),
            vqa=dict(type='VQADataset', ann_file='train_data_vqa.json'),
        )[task]
        loader = dict(num_workers=0, collate_fn=dict(type='collate', canvas_sizes=64))
        batch_sampler = dict(type='AspectRatioBatchSampler', drop_last=False)
        model = soho_config(task)
        model['language']['vocab_size'] = 512
        cfg = dict(
            default_scope='soho',
            randomness=dict(seed=0),
            sync_bn=True,
            work_dir=str(tmp_path / 'run'),
            experiment_name=f'run{next(_runs)}',
            model=model,
            train_dataloader=dict(
                batch_size=8,
                sampler=dict(type='EpochSampler'),
                batch_sampler=batch_sampler,
                dataset=dict(images='train2014', **train, **source),
                **loader,
            ),
            optim_wrapper=dict(
                type='OptimWrapper',
                optimizer=dict(type='AdamWSGD', lr=1e-3, momentum=0.9),
                constructor='PatternConstructor',
                paramwise_cfg=dict(patterns={r'\Abackbone\.': dict(opt='sgd', lr_mult=10)}),
                clip_grad=dict(max_norm=10.0),
            ),
            param_scheduler=dict(type='LinearLR', start_factor=0.5, by_epoch=False, begin=0, end=4),
            train_cfg=loop,
            default_hooks=dict(
                sampler_seed=dict(type='DistSamplerSeedHook'), logger=dict(type='LoggerHook', interval=1)
            ),
        )
        if task == 'vqa':
            test = dict(type='VQADataset', ann_file='val_data_vqa.json', images='val2014', test_mode=True, **source)
            answers = json.loads((synthetic / 'val_data_vqa.json').read_text())['label2ans']
            cfg['model']['heads']['vqa']['num_classes'] = len(answers)
            cfg.update(
                test_dataloader=dict(
                    batch_size=3,
                    sampler=dict(type='EpochSampler', shuffle=False, round_up=False),
                    batch_sampler=batch_sampler,
                    dataset=test,
                    **loader,
                ),
                test_cfg=dict(type='TestLoop'),
                test_evaluator=dict(
                    type='VQAAccuracy', annotation_file=str(synthetic / 'v2_mscoco_val2014_annotations.json')
                ),
            )
        cfg = Config(cfg)
        cfg.merge_from_dict(changes)
        return cfg

    return config


@pytest.fixture
def run_training(tiny_config):
    """Train a :func:`tiny_config`; returns the runner."""

    def run(*args, **changes):
        runner = Runner.from_cfg(tiny_config(*args, **changes))
        runner.train()
        return runner

    return run
