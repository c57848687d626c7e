"""What the recipes of the tasks promise: baselines, warnings, commands and costs."""

import ast
import re
import shlex

import pytest

from soho.engine import load_config
from soho.engine.command_line import load_run, run_parser
from soho.paths import CONFIGS


def docstring(name):
    return ast.get_docstring(ast.parse((CONFIGS / f'{name}.py').read_text())) or ''


def load(name):
    return load_config(str(CONFIGS / f'{name}.py'))


def names(*folders):
    return [f'{folder}/{path.stem}' for folder in folders for path in sorted((CONFIGS / folder).glob('*.py'))]


@pytest.mark.parametrize('name', [*names('NLVR'), 'NLVR2/soho_res18_nlvr2', 'NLVR2/soho_res101_nlvr2'])
def test_always_true_stands_beside_the_accuracy(name):
    config = load(name)
    for split in ('val', 'test'):
        assert config[f'{split}_evaluator'] == dict(type='StatementAccuracy', majority_answer='True')


@pytest.mark.parametrize('name', [*names('SNLIVE'), 'demo/snli_ve', 'demo/snli_ve_blind'])
def test_the_hypothesis_alone_stands_beside_the_accuracy(name):
    config = load(name)
    for split in ('val', 'test'):
        evaluator, dataset = config[f'{split}_evaluator'], config[f'{split}_dataloader'].dataset
        assert evaluator.type == 'SNLIVEAccuracy'
        assert evaluator.evaluated_file == f'{dataset.data_root}/{dataset.ann_file}'
        train = config.train_dataloader.dataset
        assert evaluator.training_file == f'{train.data_root}/{train.ann_file}'


@pytest.mark.parametrize('size', ['res18', 'res101'])
def test_the_blind_baseline_has_the_size_of_its_model(size):
    model, blind = (load(f'SNLIVE/soho_{size}_snli_ve{ending}').model for ending in ('', '_blind'))
    assert blind.backbone is None and blind.neck is None
    assert blind.language == model.language and blind.heads == model.heads


@pytest.mark.parametrize('name', [*names('NLVR2'), 'demo/nlvr2'])
def test_a_pair_task_that_stays_at_chance_says_so(name):
    assert 'ChanceLossHook' in [hook.type for hook in load(name).custom_hooks]


def test_the_command_for_the_parts_of_nlvr2_can_be_typed():
    text = docstring('NLVR2/soho_res18_nlvr2').replace('\\\n', ' ')
    (command,) = re.findall(r'python tools/test\.py (\S+ CHECKPOINT --cfg-options .*)', text)
    recipe, _, *options = shlex.split(command)
    config = load_run(run_parser('').parse_args([str(CONFIGS.parent / recipe), *options]))
    assert config.test_evaluator.keys() == {'type', 'majority_answer', 'subsets', 'categories', 'annotation_file'}
    assert config.test_evaluator.subsets.keys() == {'balanced', 'unbalanced'}
    assert config.test_dataloader.dataset.ann_file == 'nlvr2_dev.jsonl'


@pytest.mark.parametrize(
    'name',
    [
        name
        for name in names('Pretrain', 'VQA', 'Retrieval', 'NLVR2', 'SNLIVE', 'GQA')
        if re.search(r'/soho_res\d+', name) and not re.search('_(blind|scales)$', name)
    ],
)
def test_a_recipe_says_its_cost_and_whether_a_score_is_published(name):
    text = ' '.join(docstring(name).split())
    assert re.search(r'of one H100 .*at (100|50) TFLOP/s', text), 'hours of one H100 at the assumed rate'
    assert 'ot run' in text and re.search('[Pp]ublished|[Tt]he paper (has no score|does not have)', text)
