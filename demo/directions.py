"""The directions of the two papers: which variants are trained, with what they start, and how they are measured.

A variant is a config of ``configs/demo/directions``; a direction is a pair of them that differ in one part.
"""

import functools
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from demo.plan import SHIPPED, STATE, Places, config_source, demo_stages
from demo.progress import Outcome, Stage, StageCache
from demo.summary import environment
from soho.files import write_text

FOLDER = 'directions'  # below the folder of configs, and below the work dir
FIGURES = {
    'vqa': 'VQA',
    'vqa_yes_no': 'VQA, yes/no',
    'vqa_number': 'VQA, number',
    'vqa_other': 'VQA, other',
    'matching': 'matching',
    'nouns': 'masked nouns',
    'colors': 'masked colours',
    'category': 'shapes, linear probe',
    'color': 'colours, linear probe',
    'texture': 'textures, linear probe',
}
"""Everything that is measured, in percent."""
_ANSWERS = ('vqa', 'vqa_yes_no', 'vqa_number', 'vqa_other')
_PRETRAINING = ('vqa', 'matching', 'nouns', 'colors')
_WORDS = ('vqa', 'nouns', 'colors')
_PROBE = ('category', 'color', 'texture')


class Direction(NamedTuple):
    """A claim that one variant is better than another."""

    name: str
    title: str
    better: str
    """Variant that should be better."""
    other: str
    """Variant that it is compared with."""
    figures: tuple[str, ...]
    """Keys of :data:`FIGURES` by which it is judged."""


DIRECTIONS = (
    Direction('all', 'all weights against the CNN alone, equal steps', 'vqa_all', 'vqa_cnn', _ANSWERS),
    Direction('half', 'all weights in half the steps against the CNN alone', 'vqa_all_half', 'vqa_cnn', _ANSWERS),
    Direction('mvm', 'with MVM against without', 'pretrain', 'without_mvm', _PRETRAINING),
    Direction('itm', 'with ITM against without', 'pretrain', 'without_itm', _WORDS),
    Direction('dictionary', 'dictionary against plain neck', 'without_mvm', 'plain_neck', _PRETRAINING),
    Direction('frozen', 'end to end against a frozen CNN', 'from_labels', 'frozen_cnn', _PRETRAINING),
    Direction('gate', 'gated against ungated', 'pretrain', 'ungated', _PRETRAINING),
    Direction('words_64', '256 words against 64', 'pretrain', 'words_64', _PRETRAINING),
    Direction('words_1024', '256 words against 1,024', 'pretrain', 'words_1024', _PRETRAINING),
    Direction('both_ways', 'VirTex: captions in both directions against one', 'bicaptioning', 'captioning', _PROBE),
    Direction('labels', 'VirTex: captions against labels, equal images', 'bicaptioning', 'labels', _PROBE),
)
FINE_TUNED = ('vqa_all', 'vqa_cnn', 'vqa_all_half')
CAPTIONED = ('bicaptioning', 'captioning', 'labels')
ANSWERED_BY = 'vqa_after'  # config of the fine-tuning after each short pretraining
_LEARNT = dict(matching='acc_itm', nouns='acc_noun', colors='acc_color')  # figures of a pretraining by its metrics
_CNN = 'cnn_small_objects'  # the stage that trains a CNN on labels, named after its config
_FROM_LABELS = ('from_labels', 'frozen_cnn')  # what starts from it


def run_name(variant: str, seed: int) -> str:
    """Return the name of a variant's training, which is its folder below the work dir."""
    return f'{variant}-seed{seed}'


def direction_stages(places: Places, seeds: int, directions: Sequence[Direction] = DIRECTIONS) -> list[Stage]:
    """Return the stages of the directions, one direction after the other with all its seeds.

    Args:
        places: Folders of the demo, whose data set and CNN are taken.
        seeds: Number of trainings of each variant, with the seeds 0, 1, ...
        directions: The directions that are wanted.
    """
    trainings = {
        (variant, seed): _variant_stages(places, variant, seed)
        for direction in directions
        for seed in range(seeds)
        for variant in (direction.better, direction.other)
    }
    starts = {stage.name: stage for stage in _start_stages(places)}
    ordered: dict[str, Stage] = {}
    for stage in (stage for chain in trainings.values() for stage in chain):
        ordered |= {name: starts[name] for name in ('data', *stage.after) if name in starts}  # once, where it is needed
        ordered[stage.name] = stage
    return list(ordered.values())


def measured(stages: Sequence[Stage], cache: StageCache) -> dict[str, dict[int, dict[str, float]]]:
    """Return the figures of the finished stages by variant and seed."""
    found: dict[str, dict[int, dict[str, float]]] = {}
    for stage in stages:
        result = cache.results().get(stage.name) or {}
        if 'figures' in result and cache.done(stage):
            found.setdefault(result['variant'], {}).setdefault(result['seed'], {}).update(result['figures'])
    return found


def _start_stages(places: Places) -> list[Stage]:
    """Return the stages from which trainings start: the demo's data set, a vocabulary, a CNN trained on labels."""
    return [
        Stage('data', 'The data set of the demo', functools.partial(_prepare, places), settings=dict(size=places.size)),
        Stage(
            'vocabulary',
            'The vocabulary of captions',
            functools.partial(_vocabulary, places),
            after=('data',),
            own_process=True,
        ),
        Stage(
            _CNN,
            'A CNN learns to name single objects',
            functools.partial(_train_cnn, places),
            settings=config_source(places.configs / f'{_CNN}.py'),
            after=('data',),
            own_process=True,
        ),
    ]


def _variant_stages(places: Places, variant: str, seed: int) -> list[Stage]:
    """Return the training of a variant, and what measures it."""
    name, config = run_name(variant, seed), _config(places, variant)
    if variant in FINE_TUNED:
        # the weights that ship are part of the repository, and not made by a stage
        return [_stage(places, _fine_tune, variant, seed, name, ('data',), [config])]
    if variant in CAPTIONED:
        probe = places.configs / 'linear_probe.py'
        return [
            _stage(places, _caption, variant, seed, name, ('data', 'vocabulary'), [config]),
            _stage(places, _probe, variant, seed, f'{name}-probe', (name,), [config, probe]),
        ]
    after = ('data', _CNN) if variant in _FROM_LABELS else ('data',)
    return [
        _stage(places, _pretrain, variant, seed, name, after, [config]),
        _stage(places, _answer, variant, seed, f'{name}-vqa', (name,), [config, _config(places, ANSWERED_BY)]),
    ]


def _stage(
    places: Places, run: Any, variant: str, seed: int, name: str, after: tuple[str, ...], configs: Sequence[Path]
) -> Stage:
    return Stage(
        name,
        name,
        functools.partial(run, places, variant, seed, name),
        settings=dict(seed=seed, configs=[config_source(config) for config in configs]),
        after=after,
        own_process=True,
    )


def _config(places: Places, variant: str) -> Path:
    return places.configs / FOLDER / f'{variant}.py'


# These functions import torch, which takes seconds, only when a stage runs.


def _prepare(places: Places, results: dict[str, Any], resumed: bool) -> Outcome:
    """Take over the data set of the demo, or make it, and cut out the objects that the CNN names."""
    from demo.steps import run_tool

    names = ('synthetic', 'annotations')
    cache = StageCache(places.work_dir / STATE)
    cache.run([stage for stage in demo_stages(places) if stage.name in names], processes=0)
    run_tool(places.tools / 'prepare' / 'object_crops.py', ['--root', places.data_dir])
    objects = [places.data_dir / f'objects_{split}.json' for split in ('train2014', 'val2014')]
    return Outcome([*(path for name in names for path in cache.records[name]['files']), *objects])


def _vocabulary(places: Places, results: dict[str, Any], resumed: bool) -> Outcome:
    from demo.steps import run_tool

    model = places.data_dir / 'captions.model'
    captions = places.data_dir / 'annotations' / 'captions_train2014.json'
    run_tool(places.tools / 'prepare' / 'vocabulary.py', [captions, '--size', 400, '--out', model])
    return Outcome([model])


def _train_cnn(places: Places, results: dict[str, Any], resumed: bool) -> Outcome:
    trained = _train(places, places.configs / f'{_CNN}.py', _CNN, 0, resumed)
    return Outcome([trained['checkpoint']], dict(checkpoint=trained['checkpoint']))


def _fine_tune(places: Places, variant: str, seed: int, name: str, results: dict[str, Any], resumed: bool) -> Outcome:
    trained = _train(places, _config(places, variant), name, seed, resumed, os.fspath(SHIPPED))
    return _outcome(places, variant, seed, name, trained, _answer_figures(trained))


def _pretrain(places: Places, variant: str, seed: int, name: str, results: dict[str, Any], resumed: bool) -> Outcome:
    labelled = {'model.backbone.init_cfg.checkpoint': results[_CNN]['checkpoint']} if variant in _FROM_LABELS else {}
    trained = _train(places, _config(places, variant), name, seed, resumed, os.fspath(SHIPPED), labelled)
    found = _held_out(trained)  # without ITM nothing is known of matching
    figures = {key: found[name] for key, name in _LEARNT.items() if name in found}
    return _outcome(places, variant, seed, name, trained, figures)


def _answer(places: Places, variant: str, seed: int, name: str, results: dict[str, Any], resumed: bool) -> Outcome:
    """Fine-tune on questions, with the CNN and the neck as they were pretrained."""
    from soho.engine import load_config

    pretrained = load_config(os.fspath(_config(places, variant))).model
    parts = {
        'model.backbone': dict(pretrained.backbone, init_cfg=None, _delete_=True),
        'model.neck': dict(pretrained.neck, _delete_=True),
    }
    checkpoint = results[run_name(variant, seed)]['checkpoint']
    trained = _train(places, _config(places, ANSWERED_BY), name, seed, resumed, checkpoint, parts)
    return _outcome(places, variant, seed, name, trained, _answer_figures(trained))


def _caption(places: Places, variant: str, seed: int, name: str, results: dict[str, Any], resumed: bool) -> Outcome:
    trained = _train(places, _config(places, variant), name, seed, resumed)
    return _outcome(places, variant, seed, name, trained, {})


def _probe(places: Places, variant: str, seed: int, name: str, results: dict[str, Any], resumed: bool) -> Outcome:
    """Train linear classifiers of single objects on the CNN as it is."""
    start = {'model.backbone.init_cfg.checkpoint': results[run_name(variant, seed)]['checkpoint']}
    trained = _train(places, places.configs / 'linear_probe.py', name, seed, resumed, options=start)
    found = _held_out(trained)
    figures = {key: found[f'accuracy_{key}'] for key in _PROBE}
    return _outcome(places, variant, seed, name, trained, figures)


def _train(
    places: Places,
    config: Path,
    name: str,
    seed: int,
    resumed: bool,
    load_from: str | None = None,
    options: dict[str, Any] | None = None,
) -> dict[str, Any]:
    from demo.steps import train

    os.environ['SOHO_SYNTHETIC'] = os.fspath(places.data_dir)  # the configs name the data set by it
    fixed = {'randomness.seed': seed, 'env_cfg.cpu_threads': 1}
    return train(config, places.work_dir / FOLDER / name, load_from, resumed, fixed | (options or {}))


def _answer_figures(trained: dict[str, Any]) -> dict[str, float]:
    found = _held_out(trained)
    return {key: found[key.replace('vqa', 'accuracy')] for key in _ANSWERS}


def _held_out(trained: dict[str, Any]) -> dict[str, float]:
    """Return the metrics on validation data by their names without a prefix."""
    return {key.rpartition('/')[2]: trained['metrics'][key] for key in trained['held_out']}


def _outcome(
    places: Places, variant: str, seed: int, name: str, trained: dict[str, Any], figures: dict[str, float]
) -> Outcome:
    """Return the outcome of a training, and write its figures beside its log."""
    result = dict(variant=variant, seed=seed, checkpoint=trained['checkpoint'], figures=figures)
    path = places.work_dir / FOLDER / name / 'figures.json'
    about = dict(load_from=trained['load_from'], device=trained['device'], metrics=trained['metrics'])
    write_text(path, json.dumps(result | about | environment(places.tools.parent), indent=1) + '\n')
    return Outcome([trained['checkpoint'], path], result)
