"""The stages' cache: which stages are skipped, run again, or resumed, and which run at the same time."""

import functools
import json
import os
import signal
import time

import pytest

from demo.calibration import Speed, estimate_seconds
from demo.progress import Outcome, Stage, StageCache
from soho.errors import UserError


@pytest.fixture
def job(tmp_path):
    """Two stages, the second of which reads what the first one writes, and a list of what ran."""
    ran = []

    def stages(first=1, fail=False):
        def write(results, resumed):
            ran.append(('first', resumed))
            (tmp_path / 'a').write_text(str(first // 10))
            return Outcome([tmp_path / 'a'], dict(value=first))

        def read(results, resumed):
            ran.append(('second', resumed))
            if fail:
                raise KeyboardInterrupt
            (tmp_path / 'b').write_text(str(results['first']['value']))
            return Outcome([tmp_path / 'b'])

        return [Stage('first', 'First', write, settings=first), Stage('second', 'Second', read, after=('first',))]

    return tmp_path, stages, ran


def run(path, stages):
    cache = StageCache(path / 'state.json')
    cache.run(stages, log=lambda line: None)
    return cache


def test_what_is_done_is_not_done_again(job):
    path, stages, ran = job
    run(path, stages())
    assert ran == [('first', False), ('second', False)]
    cache = run(path, stages())
    assert len(ran) == 2 and cache.all_done(stages())
    assert cache.results() == dict(first=dict(value=1), second=None)
    assert set(cache.seconds()) == {'first', 'second'}


def test_changed_settings_reach_only_those_whose_input_changes(job):
    path, stages, ran = job
    run(path, stages(1))
    run(path, stages(2))  # the file of the first stage stays the same
    assert ran[2:] == [('first', False)]
    run(path, stages(12))
    assert ran[3:] == [('first', False), ('second', False)]


def test_missing_or_changed_output_is_made_again(job):
    path, stages, ran = job
    run(path, stages())
    (path / 'b').unlink()
    run(path, stages())
    assert ran[2:] == [('second', False)]
    (path / 'b').write_text('something else')
    run(path, stages())
    assert ran[3:] == [('second', False)]


def test_interrupted_stage_is_resumed_while_its_input_is_the_same(job):
    path, stages, ran = job
    with pytest.raises(KeyboardInterrupt):
        run(path, stages(fail=True))
    record = json.loads((path / 'state.json').read_text())['stages']['second']
    assert record['status'] == 'running' and record['seconds'] >= 0
    run(path, stages())
    assert ran == [('first', False), ('second', False), ('second', True)]


def test_interrupted_stage_with_another_input_begins_anew(job):
    path, stages, ran = job
    with pytest.raises(KeyboardInterrupt):
        run(path, stages(fail=True))
    run(path, stages(12))
    assert ran[2:] == [('first', False), ('second', False)]


def test_stage_that_does_not_write_what_it_says_is_an_error(tmp_path):
    stage = Stage('a', 'Making a', lambda results, resumed: Outcome([tmp_path / 'a']))
    with pytest.raises(FileNotFoundError, match='the stage .a. did not write .*a'):
        run(tmp_path, [stage])
    assert not StageCache(tmp_path / 'state.json').done(stage)


def test_a_state_of_another_version_is_ignored(job):
    path, stages, ran = job
    run(path, stages())
    state = json.loads((path / 'state.json').read_text())
    (path / 'state.json').write_text(json.dumps(dict(stages=state['stages'])))
    run(path, stages())
    assert [name for name, _ in ran] == ['first', 'second'] * 2


def test_broken_cache_is_an_error(tmp_path):
    (tmp_path / 'state.json').write_text('{"stages": {')
    with pytest.raises(ValueError, match='state.json is not the state of a demo'):
        StageCache(tmp_path / 'state.json')


def meet(folder, name, others, results, resumed):
    """Finish only where the other stages run at the same time."""
    (folder / name).write_text('here')
    print(f'2026/01/01 - mmengine - INFO - Epoch(train) [1][10/10]  loss: {name}', flush=True)
    deadline = time.monotonic() + 60
    while not all((folder / other).exists() for other in others):
        if time.monotonic() > deadline:
            raise TimeoutError(f'{others} did not come')
        time.sleep(0.02)
    return Outcome([folder / name], dict(process=os.getpid(), seen=sorted(results)))


def fail(message, results, resumed):
    raise UserError(message) if message else ValueError('3 is not 4')


def wait_forever(folder, results, resumed):
    (folder / ('resumed' if resumed else 'started')).write_text('')
    if not resumed:
        os.kill(os.getppid(), signal.SIGINT)  # as Ctrl-C does
        time.sleep(120)
    return Outcome([folder / 'resumed'])


def test_stages_that_do_not_wait_for_each_other_run_at_the_same_time(tmp_path):
    start = functools.partial(meet, tmp_path)
    stages = [
        Stage('a', 'A', functools.partial(start, 'a', ['b']), own_process=True),
        Stage('b', 'B', functools.partial(start, 'b', ['a']), own_process=True),
        Stage('c', 'C', functools.partial(start, 'c', ['a', 'b']), after=('a', 'b'), own_process=True),
    ]
    lines = []
    cache = StageCache(tmp_path / 'state.json')
    cache.run(stages, log=lines.append, processes=2)
    results = cache.results()
    assert len({os.getpid(), *(result['process'] for result in results.values())}) == 4
    assert results['c']['seen'] == ['a', 'b']
    assert lines[:2] == ['[1/3] A: started', '[2/3] B: started']
    assert 'c: Epoch(train) [1][10/10]  loss: c' in lines
    assert 'loss: a' in (tmp_path / 'logs' / 'a.log').read_text()
    seconds = cache.seconds()
    assert cache.elapsed() < sum(seconds.values()) and StageCache(cache.path).elapsed() > seconds['c']


def test_failure_in_a_process_is_one_sentence(tmp_path):
    stage = Stage('a', 'A', functools.partial(fail, 'the moon is missing'), own_process=True)
    with pytest.raises(UserError, match='^the moon is missing$'):
        StageCache(tmp_path / 'state.json').run([stage], log=lambda line: None, processes=1)
    stage = Stage('a', 'A', functools.partial(fail, ''), own_process=True)
    with pytest.raises(UserError, match=r"the stage 'a' failed \(ValueError: 3 is not 4\); see .*a.log"):
        StageCache(tmp_path / 'state.json').run([stage], log=lambda line: None, processes=1)
    assert 'Traceback' in (tmp_path / 'logs' / 'a.log').read_text()


def test_interrupted_process_ends_and_is_resumed(tmp_path):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    stage = Stage('a', 'A', functools.partial(wait_forever, tmp_path), own_process=True)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        StageCache(tmp_path / 'state.json').run([stage], log=lambda line: None, processes=1)
    assert time.monotonic() - started < 60
    StageCache(tmp_path / 'state.json').run([stage], log=lambda line: None, processes=1)
    assert (tmp_path / 'resumed').exists()


def test_estimate_is_the_longest_way_through_the_stages():
    def stage(name, *after):
        return Stage(name, name, lambda results, resumed: None, after=after, own_process=name != 'synthetic')

    stages = [
        stage('synthetic'),
        stage('pretrain', 'synthetic'),
        stage('vqa', 'pretrain'),
        stage('vqa_blind', 'synthetic'),
    ]
    names = [stage.name for stage in stages]
    picture, step = (estimate_seconds(stages, names, speed, 2) for speed in (Speed(1.0, 0.0), Speed(0.0, 1.0)))
    alone = [estimate_seconds(stages, [name], Speed(0.0, 1.0), 2) for name in names]
    assert picture > 0 and alone[0] == 0 and min(alone[1:]) > 0
    assert step == alone[1] + alone[2]
    assert estimate_seconds(stages, names, Speed(0.0, 1.0), 1) == sum(alone)
    assert estimate_seconds(stages, [], Speed(1.0, 1.0), 2) == 0
