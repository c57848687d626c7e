"""demo/run_demo.py on a tiny data set: all is made, an interrupted one goes on, a repeated one is quick."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / 'demo' / 'run_demo.py'
LOADERS = """
loader = dict(batch_size=4, num_workers=0, persistent_workers=False)
train_dataloader, val_dataloader, test_dataloader = loader, loader, loader
default_hooks = dict(logger=dict(interval=2))
"""


# The tiny data set's validation pictures have few cells, of which one in fifty is masked.
MASKED = """
pipeline = _base_.val_dataloader.dataset.pipeline
pipeline[4].prob = 0.5
val_dataloader = dict(**loader, dataset=dict(pipeline=pipeline))
"""


@pytest.fixture(scope='module')
def demo():
    spec = importlib.util.spec_from_file_location('tool_demo', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def configs(tmp_path_factory):
    """The demo's own recipes, few steps or two short epochs; the tiny data set has answers of its own."""
    folder = tmp_path_factory.mktemp('configs')
    for name in ('pretrain', 'vqa', 'vqa_blind'):
        text = f'"""Short."""\n_base_ = {str(ROOT / "configs" / "demo" / f"{name}.py")!r}\n{LOADERS}'
        if name.startswith('vqa'):
            text += 'model = dict(heads=dict(vqa=dict(num_classes=NUMBER)))\n'
            text += 'train_cfg = dict(max_epochs=2, val_interval=1)\n'
        else:
            text += f'train_cfg = dict(max_iters=12, val_interval=12)\n{MASKED}'
        (folder / f'{name}.py').write_text(text)
    return folder


@pytest.fixture(scope='module')
def job(demo, configs, tmp_path_factory):
    """A demo that was interrupted in the second epoch of the fine-tuning, and repeated."""
    from soho.engine.loops import EpochBasedTrainLoop

    root = tmp_path_factory.mktemp('job')
    argv = [
        '--size',
        'tiny',
        '--data-dir',
        str(root / 'synthetic'),
        '--configs',
        str(configs),
        '--work-dir',
        str(root / 'out'),
        '--processes',
        '0',
    ]
    places = demo.Places(configs, ROOT / 'tools', root / 'synthetic', 'tiny', root / 'out')
    demo.StageCache(root / 'out' / 'state.json').run(demo.demo_stages(places)[:2])
    number = len(json.loads((root / 'synthetic' / 'train_data_vqa.json').read_text())['label2ans'])
    for name in ('vqa', 'vqa_blind'):
        path = configs / f'{name}.py'
        path.write_text(path.read_text().replace('NUMBER', str(number)))
    trained = []
    with pytest.MonkeyPatch.context() as patch:
        loop = EpochBasedTrainLoop
        run_epoch = loop.run_epoch

        def note(self):
            trained.append((Path(self.runner.work_dir).name, self.epoch))
            if trained == [('vqa', 0), ('vqa', 1)]:
                raise KeyboardInterrupt
            run_epoch(self)

        patch.setattr(loop, 'run_epoch', note)
        patch.setenv('SOHO_SYNTHETIC', str(root / 'synthetic'))
        with pytest.raises(SystemExit) as stopped:
            demo.main(argv)
        state = json.loads((root / 'out' / 'state.json').read_text())
        summary = demo.main(argv)
    yield dict(
        argv=argv,
        places=places,
        out=root / 'out',
        data_dir=root / 'synthetic',
        trained=trained,
        stopped=stopped.value.code,
        state=state,
        summary=summary,
    )
    shutil.rmtree(root)  # the checkpoints of four epochs are not worth keeping


def test_interrupted_training_goes_on_from_its_last_checkpoint(job):
    assert job['stopped'] == 130
    assert job['state']['stages']['vqa']['status'] == 'running'
    assert job['trained'] == [
        ('vqa', 0),
        ('vqa', 1),  # interrupted
        ('vqa', 1),
        ('vqa_blind', 0),
        ('vqa_blind', 1),
    ]


def test_summary_holds_the_figures(job):
    summary = json.loads((job['out'] / 'summary.json').read_text())
    assert summary == job['summary']
    assert 0 <= summary['vqa_accuracy'] <= 100
    assert 0 <= summary['vqa_accuracy_without_image'] <= 100
    assert set(summary['pretrain']) == {
        'loss_mlm',
        'loss_mvm',
        'loss_itm',
        'acc_mlm',
        'acc_mvm',
        'acc_itm',
        'measured_on',
    }
    assert set(summary['vqa_accuracy_per_answer_type']['with_image']) == {'yes_no', 'number', 'other'}
    stages = [value for name, value in summary['seconds'].items() if name != 'total']
    # The total is of the clock: what lies between the stages counts, too.
    assert len(stages) == 7 and sum(stages) <= summary['seconds']['total'] + 0.5 < sum(stages) + 10
    assert summary['versions']['torch'] and summary['device'] and summary['seed'] == 0


def test_answers_are_an_official_submission_for_every_test_question(job):
    questions = job['data_dir'] / 'v2_OpenEnded_mscoco_test2015_questions.json'
    asked = json.loads(questions.read_text())['questions']
    for method in ('soho', 'soho-blind'):
        file = job['out'] / 'evaluation' / f'v2_OpenEnded_mscoco_test2015_{method}_results.json'
        answers = json.loads(file.read_text())
        assert {a['question_id'] for a in answers} == {q['question_id'] for q in asked}
        assert all(set(a) == {'question_id', 'answer'} for a in answers)


def test_report_shows_the_metrics_and_loads_nothing(job):
    page = (job['out'] / 'report.html').read_text()
    assert f'{job["summary"]["vqa_accuracy"]:.2f}' in page
    assert f'{job["summary"]["vqa_accuracy_without_image"]:.2f}' in page
    # 35 % of the training captions are replaced and a word in a quarter of the others; half of the held-out ones.
    assert 'right for 51 % of the training sentences and 50 % of the held-out ones' in page
    assert page.count('<svg') == 4 and page.count('<article>') == 8  # the tiny data set has eight test pictures
    assert 'ITM by chance 51' in page and page.count('alt="Where in it the answer came from"') == 8
    loaded = re.findall(r'(?:src|href)="([^#"][^"]*)"|url\(([^)]*)\)', page)
    assert loaded and all(a.startswith('data:image/') for a, _ in loaded) and '<script' not in page


def test_repetition_prints_the_table_without_importing_torch(job):
    code = (
        f'import runpy, sys; sys.argv = {["demo.py", *job["argv"]]!r}; '
        f'runpy.run_path({str(TOOL)!r}, run_name="__main__"); assert "torch" not in sys.modules'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert f'{job["summary"]["vqa_accuracy"]:.2f}' in done.stdout
    assert 'started' not in done.stdout and 'resumed' not in done.stdout


def test_only_what_a_change_concerns_is_made_again(demo, job):
    places = job['places']
    cache = demo.StageCache(job['out'] / 'state.json')

    def undone():
        return [stage.name for stage in demo.demo_stages(places) if not cache.done(stage)]

    config = places.configs / 'vqa_blind.py'
    before = config.read_text()
    config.write_text(before.replace('Short.', 'Still short.') + '# a comment changes nothing\n')
    assert undone() == []
    config.write_text(before + 'randomness = dict(seed=1)\n')
    assert undone() == ['vqa_blind']  # what is behind it follows once it has other weights
    config.write_text(before)
    annotations = job['data_dir'] / 'val_data_vqa.json'
    original = annotations.read_text()
    annotations.write_text(original + ' ')
    assert undone() == ['annotations']
    annotations.write_text(original)
    (job['out'] / 'report.html').rename(job['out'] / 'away.html')
    assert undone() == ['report']
    (job['out'] / 'away.html').rename(job['out'] / 'report.html')


def test_missing_config_is_one_sentence(demo, tmp_path):
    with pytest.raises(SystemExit, match=f'^demo: there is no config {tmp_path}/pretrain.py$'):
        demo.main(['--configs', str(tmp_path), '--work-dir', str(tmp_path / 'out')])


def test_unknown_size_is_one_sentence(demo, configs, tmp_path):
    with pytest.raises(
        SystemExit, match=r"^demo: size 'huge' of the synthetic data set is not one of tiny, demo, large$"
    ):
        demo.main(
            ['--configs', str(configs), '--work-dir', str(tmp_path), '--size', 'huge', '--data-dir', str(tmp_path)]
        )


def test_state_of_something_else_is_refused(demo, configs, tmp_path):
    (tmp_path / 'state.json').write_text('[]')
    with pytest.raises(SystemExit, match='is not the state of a demo'):
        demo.main(['--configs', str(configs), '--work-dir', str(tmp_path)])
