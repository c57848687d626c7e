"""Every recipe in configs/ builds, trains and evaluates on the synthetic data set at reduced size."""

import ast
import re

import pytest
import torch
from mmengine.hooks import Hook

from soho.engine import Runner, load_config
from soho.engine.checkpoint.read import read_checkpoint
from soho.paths import CONFIGS
from tests.half_precision import use_fast_convolutions

FILES = sorted(path.relative_to(CONFIGS) for path in CONFIGS.rglob('*.py'))
RECIPES = [path for path in FILES if path.parts[0] != '_base_']
# Validated, but not to choose a checkpoint by it: the last one is what comes next in the demo, or all there is, as in
# configs/demo/directions.
NO_BEST = {
    'cnn',
    'cnn_small_objects',
    'coco_photos',
    'language',
    'large_pretrain',
    'linear_probe',
    'pretrain',
    'pretrain_again',
    'pretrain_align',
    'pretrain_decay',
    'pretrain_long',
    'soho_coco_photos',
}
# What makes a model, a sample or a run large, and what it becomes.
LANGUAGE = dict(
    CrossModalBert=dict(
        vocab_size=512, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    ),
    CaptionTransformer=dict(vocab_size=150, hidden_size=64),
)
SMALL = dict(
    hidden_size=32,
    num_words=16,
    scale=(96, 64),
    scales=[(96, 48), (96, 64)],
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    pin_memory=False,
    max_epochs=1,
    max_iters=2,
    val_interval=1,
    size=64,
    max_steps=8,
    short_edges=(64,),
    long_edge=96,
    candidates=(50, 50),
    proposals=(20, 20),
    samples=16,
    batches=1,
)
CAPTION_TOKENIZERS = ('CaptionMetrics', 'MaskCaption', 'TokenizeCaption')
SPLITS = dict(train='train2014', val='val2014', test='test2015')


def nodes(node, path=()):
    """All dicts of a config, each with the keys that lead to it."""
    if isinstance(node, dict):
        yield path, node
        node = node.items()
    elif isinstance(node, (list, tuple)):
        node = enumerate(node)
    else:
        return
    for key, child in node:
        yield from nodes(child, (*path, key))


def shrink_detection(node, place, root):
    """A dataset, metric or head of object detection on the synthetic data in its format; says whether it is one."""
    kind = node.get('type')
    coco, voc = ('train', 'trainval') if place.startswith('train') else ('val', 'test')
    if kind == 'RegionHeads':
        classes = 24 if node.num_classes == 1203 else 6
        node.update(num_classes=classes, max_detections=5, size=min(node.get('size', 7), 7))
    elif kind == 'FCBoxHead':
        node.channels = 32
    elif kind == 'MaskHead':
        node.update(channels=32, convs=1)
    elif kind in ('CocoDetection', 'LVISDetection'):
        file, images = dict(
            CocoDetection=(f'annotations/instances_{coco}2014.json', f'{coco}2014'),
            LVISDetection=(f'lvis/lvis_v1_{coco}.json', ''),
        )[kind]
        node.update(data_root=str(root), ann_file=file, images=images)
    elif kind in ('CocoAP', 'LVISAP'):
        node.annotation_file = str(
            root / dict(CocoAP='annotations/instances_val2014.json', LVISAP='lvis/lvis_v1_val.json')[kind]
        )
    elif kind == 'VOCDetection' and 'ann_file' in node:
        year = node.ann_file.split('/')[0]
        node.update(
            data_root=str(root / 'VOCdevkit'), ann_file=f'{year}/ImageSets/Main/{voc}.txt', images=f'{year}/JPEGImages'
        )
    elif kind == 'VOCAP':
        node.image_set = str(root / 'VOCdevkit/VOC2007/ImageSets/Main/test.txt')
    else:
        return False
    return True


def shrink_labels(node, place, root):
    """A dataset or head of image classification, on the data set in the format that it reads; says whether it is."""
    kind, split = node.get('type'), 'train' if place.startswith('train') else 'val'
    if kind == 'MultiAttributeHead':
        classes = {1000: 6, 8142: 24}
        node.update(
            init_cfg=None, attributes={label: classes.get(count, count) for label, count in node.attributes.items()}
        )
    elif kind == 'ImageFolders':
        node.update(data_root=str(root / 'imagenet'), images=split)
    elif kind == 'INaturalist' and 'ann_file' in node:
        node.update(data_root=str(root / 'inaturalist'), ann_file=f'annotations/{split}2018.json')
    else:
        return False
    return True


def shrink_statements(node, place, small_synthetic):
    """A data set of NLVR or NLVR2, or the metric of GQA, on the synthetic data set; says whether it is one."""
    kind, root, part = node.get('type'), small_synthetic['root'], place.split('_')[0]
    if kind == 'NLVR2Dataset' and 'ann_file' in node:
        file = dict(train='train', val='dev', test='test1')[part]
        node.update(data_root=str(root), ann_file=f'nlvr2/{file}.jsonl', images=SPLITS[part])
    elif kind == 'NLVRDataset' and 'ann_file' in node:
        node.update(
            data_root='', ann_file=str(small_synthetic['folder'] / 'nlvr.jsonl'), images=str(root / 'train2014')
        )
    elif kind == 'GQAAccuracy':
        node.questions = str(small_synthetic['folder'] / f'gqa_{SPLITS[part]}.json')
        if 'choices' in node:
            node.choices = str(small_synthetic['folder'] / f'gqa_choices_{SPLITS[part]}.json')
    else:
        return False
    return True


def shrink_retrieval(node, place, small_synthetic):
    """A data set or metric of retrieval or visual entailment on the synthetic data set; says whether it is one."""
    kind, root, part = node.get('type'), small_synthetic['root'], place.split('_')[0]
    if kind == 'RetrievalDataset' and 'ann_file' in node:
        file, images = dict(train=(small_synthetic['PretrainDataset'], 'train2014')).get(
            part, (root / 'coco_cap_val_pre.json', 'val2014')
        )
        node.update(data_root='', ann_file=str(file), images=str(root / images), negatives=3)
    elif kind == 'SNLIVEDataset' and 'ann_file' in node:
        file = dict(train='train', val='dev', test='test')[part]
        node.update(data_root=str(root), ann_file=f'snli_ve/snli_ve_{file}.jsonl', images=SPLITS[part])
    elif kind == 'SNLIVEAccuracy' and 'evaluated_file' in node:
        file = dict(val='dev', test='test')[part]
        node.update(
            evaluated_file=str(root / f'snli_ve/snli_ve_{file}.jsonl'),
            training_file=str(root / 'snli_ve/snli_ve_train.jsonl'),
        )
    elif kind == 'RetrievalRecall':
        node.folds = min(node.get('folds', 1), 4)  # of eight images
    else:
        return False
    return True


def shrink(cfg, small_synthetic, work_dir):
    """The recipe with fewer and smaller of everything, on the tiny data set and from random weights."""
    root = small_synthetic['root']
    for path, node in nodes(cfg._cfg_dict):
        kind = node.get('type')
        part = node.get('scale')
        node.update({name: value for name, value in SMALL.items() if name in node})
        if node.get('depth') == 101:
            node.depth = 50  # of the same channels
        if kind == 'RandomResizedCrop':
            node.scale = part  # of the area
        split = SPLITS.get(path[0].split('_')[0]) if path else None
        if path and (shrink_detection(node, path[0], root) or shrink_labels(node, path[0], root)):
            continue
        if path and any(change(node, path[0], small_synthetic) for change in (shrink_statements, shrink_retrieval)):
            continue
        if 'init_cfg' in node:
            node.init_cfg = None
        if 'pretrained' in node:
            node.pretrained = False if kind == 'TimmBackbone' else None
        if 'in_channels' in node and 'out_channels' in node and kind != 'FPN':
            node.out_channels = SMALL['hidden_size']
        if 'tokenizer' in node:
            node.tokenizer.vocab = str(root / ('captions.model' if kind in CAPTION_TOKENIZERS else 'vocab.txt'))
        if kind in LANGUAGE:
            node.update(LANGUAGE[kind])
        if kind == 'LoadImage' and node.get('upright', True):
            node.reduce_to = SMALL['scale']
        if kind == 'ClassificationHead' and node.num_classes > 3:  # not of true and false, or entailment
            node.num_classes = small_synthetic['answers']
        if 'ann_file' in node and split:  # not a helper variable
            # There are no captions and objects of test images.
            known = split if split != 'test2015' else 'val2014'
            evaluated = dict(
                PretrainDataset='coco_cap_val_pre.json',
                VQADataset=f'{path[0].split("_")[0]}_data_vqa.json',
                LabeledImages='objects_val2014.json',
            )
            whole = dict(
                CaptioningDataset=f'annotations/captions_{known}.json',
                ObjectLabelsDataset=f'annotations/instances_{known}.json',
            )
            if kind in whole:
                file, images = root / whole[kind], known
            else:
                file = small_synthetic[kind] if split == 'train2014' else root / evaluated[kind]
                images = split if kind == 'VQADataset' else known
            if kind == 'LabeledImages':
                images = file.stem
            node.update(data_root='', ann_file=str(file), images=node.images and str(root / images))
        if node.get('annotation_file'):
            node.annotation_file = str(
                root
                / dict(
                    VQAAccuracy=f'v2_mscoco_{split}_annotations.json',
                    CaptionMetrics='annotations/captions_val2014.json',
                )[kind]
            )
        if kind == 'CaptionMetrics':
            node.java = False
        if kind == 'WarmupDecayLR':
            node.update(warmup=0, total=SMALL['max_iters'])  # the published one starts at zero
            if 'milestones' in node:
                node.milestones = [1]
        if node.get('dtype') == 'float16':
            # From torch's own start, 65,536, a run of two steps would skip both.
            node.loss_scale = dict(node.get('loss_scale', {}), init_scale=128.0)
    cfg.update(load_from=None, resume=False, work_dir=str(work_dir), experiment_name=work_dir.name)
    return cfg


class RememberStart(Hook):
    """Keeps the weights from which training starts."""

    def before_train(self, runner):
        use_fast_convolutions(runner.model)
        runner.start = {name: value.clone() for name, value in runner.model.state_dict().items()}


def frozen(cfg):
    backbone = cfg.model.get('backbone') or {}
    whole = cfg.model.get('frozen_backbone', False) or backbone.get('frozen', False)
    return whole or backbone.get('frozen_stages', -1) == backbone.get('num_stages', 4)


def docstring(path):
    return ast.get_docstring(ast.parse((CONFIGS / path).read_text())) or ''


@pytest.mark.parametrize('path', FILES, ids=str)
def test_what_a_config_names_exists(path):
    text = docstring(path)
    assert len(text.partition('\n')[0]) > 20, 'a config begins with what it is'
    text = re.sub(r'(researchmm/soho|kdexd/virtex), \S+( and \S+)?', '', text)  # files of the releases
    named = re.findall(r'\b(?:configs|tools|resources/runs)/[\w/.-]*\w', text)
    assert [name for name in named if not (CONFIGS.parent / name).exists()] == []


@pytest.mark.parametrize('path', RECIPES, ids=str)
def test_a_recipe_says_how_it_is_run(path):
    commands = re.findall(r'tools/(?:dist_)?(?:train|test)\w*\.(?:py|sh) (configs/\S+?\.py)', docstring(path))
    assert commands and commands[-1] == f'configs/{path}'  # after those that it begins with


# What a docstring says of a recipe's size, and what the config says.
CLAIMS = {
    r'(\d+) images x \d+ sentences per GPU': lambda cfg: cfg.train_dataloader.batch_size,
    r'\d+ images x (\d+) sentences per GPU': lambda cfg: cfg.train_dataloader.dataset.datasets[0].sentence_group,
    r'(\d+) images per GPU': lambda cfg: cfg.train_dataloader.batch_size,
    r'(\d+) images over all GPUs': lambda cfg: 8 * cfg.train_dataloader.batch_size,
    r', ([\d,]+) iterations': lambda cfg: cfg.train_cfg.max_iters,
    r'(?:, |After )(\d+) epochs': lambda cfg: cfg.train_cfg.max_epochs,
    r'gradients accumulated over (\w+) iterations': lambda cfg: {2: 'two'}[cfg.optim_wrapper.accumulative_counts],
    r'\b(float16)\b': lambda cfg: cfg.optim_wrapper.get('dtype'),
    r'\), (float32)\.': lambda cfg: dict(OptimWrapper='float32')[cfg.optim_wrapper.type],
    r'\bResNet-(\d+)\b': lambda cfg: cfg.model.backbone.depth,
    r'of width (\d+)': lambda cfg: cfg.model.language.hidden_size,
    r'(\w+) layers? of width': lambda cfg: WORDS[cfg.model.language.num_layers],
    r'([\d,]+) categories': lambda cfg: cfg.model.regions.num_classes,
}
WORDS = ['no', 'one', 'two', 'three', 'four']


def test_the_sizes_that_a_recipe_states_are_its_own():
    wrong, seen = [], set()
    for path in RECIPES:
        text, cfg = ' '.join(docstring(path).split()), load_config(str(CONFIGS / path))
        for claim, value in CLAIMS.items():
            for stated in re.findall(claim, text):
                seen.add(claim)
                if stated.replace(',', '') != str(value(cfg)):
                    wrong.append(f'{path}: {claim} is {stated}, and {value(cfg)} in the config')
    assert not wrong and seen == CLAIMS.keys()


@pytest.mark.parametrize('path', FILES, ids=str)
def test_the_hidden_width_stands_with_the_language_model_alone(path):
    for call in ast.walk(ast.parse((CONFIGS / path).read_text())):
        if isinstance(call, ast.Call):
            given = {argument.arg: getattr(argument.value, 'value', None) for argument in call.keywords}
            kind = str(given.get('type'))
            repeated = {'hidden_size': kind.endswith('Head'), 'out_channels': kind in ('PlainNeck', 'DictionaryNeck')}
            assert not [name for name in repeated if repeated[name] and name in given], f'line {call.lineno}'


@pytest.mark.parametrize('path', RECIPES, ids=str)
def test_what_is_validated_can_be_tested(path):
    cfg = load_config(str(CONFIGS / path))
    parts = [f'{split}_{part}' for split in ('val', 'test') for part in ('cfg', 'dataloader', 'evaluator')]
    missing = [part for part in parts if not cfg.get(part)]
    assert not missing or missing == parts[:3] or missing == parts, 'only a part of validation or test'


def test_norms_are_synchronised_as_published():
    published = {
        'Pretrain/soho_res18_pre': ['neck'],
        'VQA/soho_res18_vqa': ['neck'],
        'VirTex/bicaptioning_R_50_L1_H2048': False,
        'VirTex/masked_lm_R_50_L1_H2048': False,
    }
    assert {name: load_config(str(CONFIGS / f'{name}.py')).sync_bn for name in published} == published


def test_convolutions_are_benchmarked_where_all_images_are_of_one_size_alone():
    benchmarked = {
        path.stem: cfg
        for path in RECIPES
        if (cfg := load_config(str(CONFIGS / path)))['env_cfg'].get('cudnn_benchmark', False)
    }
    assert {'bicaptioning_R_50_L1_H2048', 'masked_lm_R_50_L1_H2048', 'imagenet_linear'} <= benchmarked.keys()
    assert not {'soho_res18_pre', 'soho_res18_vqa', 'coco_mask_rcnn_fpn', 'voc07_12_faster_rcnn_c4'} & set(benchmarked)
    for cfg in benchmarked.values():
        assert 'RandomResizedCrop' in str(cfg.train_dataloader) and 'CenterCrop' in str(cfg.val_dataloader)


@pytest.mark.slow
@pytest.mark.parametrize('path', RECIPES, ids=str)
def test_recipe(path, small_synthetic, tmp_path):
    runner = Runner.from_cfg(shrink(load_config(str(CONFIGS / path)), small_synthetic, tmp_path))
    runner.register_hook(RememberStart())
    precision = runner.cfg.optim_wrapper.get('dtype', 'float32')
    assert precision == load_config(str(CONFIGS / path)).optim_wrapper.get('dtype', 'float32')
    runner.train()
    before = runner.start
    assert runner.iter >= 1
    if precision == 'float16':
        scaler = runner.optim_wrapper.loss_scaler
        assert scaler.is_enabled() and scaler.get_scale() == 128.0, 'no step was skipped'
    after = runner.model.state_dict()
    assert all(value.isfinite().all() for value in after.values())
    parts = {name.split('.')[0] for name, value in after.items() if not value.equal(before[name])}
    learning = {name.split('.')[0] for name, value in runner.model.named_parameters() if value.requires_grad}
    assert parts == learning, 'a part of the model has not learnt, or a frozen one has'
    assert learning == {name.split('.')[0] for name in after} - ({'backbone'} if frozen(runner.cfg) else set())

    best = runner.cfg.default_hooks.checkpoint.get('save_best')
    assert best or not runner.cfg.get('val_cfg') or path.stem in NO_BEST or 'directions' in path.parts
    assert not best or list(tmp_path.glob(f'best_{best}_*.pth'))

    saved = read_checkpoint(str(tmp_path / (tmp_path / 'last_checkpoint').read_text()))['state_dict']
    assert saved.keys() == after.keys() and all(value.equal(saved[name]) for name, value in after.items())

    if runner.cfg.get('test_cfg'):
        metrics = runner.test()
    else:
        runner.model.eval()
        with torch.no_grad():
            metrics = runner.model(**runner.model.data_preprocessor(next(iter(runner.train_dataloader))), mode='loss')
    assert all(value == value and value >= 0 for value in metrics.values())
