"""The notice that a classifier still guesses."""

import logging
import math
from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub

from soho.engine.hooks import ChanceLossHook


@pytest.fixture
def run(caplog):
    """What the hook says in a run with these losses of two classes."""

    def run(losses, load_from=None, **options):
        hub = MessageHub(f'run {id(losses)}')
        logger = logging.getLogger('chance_loss')
        runner = SimpleNamespace(message_hub=hub, logger=logger, iter=0, _load_from=load_from)
        hook = ChanceLossHook('pair', after=20, window=10, **options)
        caplog.clear()
        for number, loss in enumerate(losses):
            runner.iter = number
            hub.update_scalar('train/loss_pair', loss)
            hook.after_train_iter(runner, number)
        return [record.getMessage() for record in caplog.records]

    return run


def test_a_loss_that_stays_at_chance_is_told_once(run):
    messages = run([2.0] * 10 + [math.log(2) + 0.002, math.log(2) - 0.002] * 20)
    assert len(messages) == 1
    assert 'loss_pair stays at 0.693 after 20 iterations' in messages[0] and 'were the weights loaded?' in messages[0]
    assert 'load_from is not set' in messages[0]
    assert 'see above what was loaded from best.pth' in run([math.log(2)] * 30, load_from='best.pth')[0]


def test_a_loss_elsewhere_is_not_told(run):
    assert not run([math.log(2)] * 10 + [0.65] * 20)
    assert not run([math.log(2)] * 15)
    assert not run([math.log(2)] * 30, num_classes=3)
