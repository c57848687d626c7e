"""The stages' cache: which stages are skipped, run again, or resumed."""

import json

import pytest

from demo.progress import Outcome, Stage, StageCache


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
