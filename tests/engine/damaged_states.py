"""A small checkpoint of a run, and what goes on from it: what the fuzzing of a run's state damages and reads."""

import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim import LinearLR
from torch import nn

from soho.engine.checkpoint.optimizer_types import KEY, describe_optimizer_types
from soho.engine.checkpoint.plain_data import to_plain
from soho.engine.checkpoint.read import read_checkpoint
from soho.engine.checkpoint.train_state import AVERAGE, check_train_state, check_weight_shapes
from soho.engine.optimizers.optim_wrapper import AmpOptimWrapper
from soho.engine.random_state import get_random_state


def make_parts():
    """A model, its optimizer and its schedules, before the first step."""
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(
        [dict(params=list(model[0].parameters())), dict(params=list(model[1].parameters()), lr=0.1)], lr=0.01
    )
    wrapper = AmpOptimWrapper(dtype='float16', optimizer=optimizer, accumulative_counts=2)
    return model, wrapper, [LinearLR(wrapper, start_factor=0.1, by_epoch=False, end=5)]


def take_step(model, wrapper, schedulers):
    wrapper.update_params(model(torch.ones(2, 3)).float().square().mean())
    for scheduler in schedulers:
        scheduler.step()


def saved_state():
    """What a run saves after three iterations, with a gradient that waits for an update."""
    model, wrapper, schedulers = make_parts()
    wrapper.initialize_count_status(model, 0, 8)
    for _ in range(3):
        take_step(model, wrapper, schedulers)
    state = model.state_dict()
    history = HistoryBuffer([2.0, 1.5], [1, 1])
    return dict(
        meta=dict(epoch=0, iter=3, seed=1, world_size=1, infinite_buffers=[]),
        message_hub=to_plain(
            dict(log_scalars={'train/loss': history}, runtime_info=dict(iter=2, epoch=0), resumed_keys={})
        ),
        state_dict=state,
        optimizer=wrapper.state_dict(),
        param_schedulers=[scheduler.state_dict() for scheduler in schedulers],
        loop=dict(
            epoch=0,
            batches=3,
            batch_size=2,
            world_size=1,
            samples=22,
            draws_each_epoch=True,
            validated=False,
            epoch_batches=11,
            order=dict(sampler=dict(type='EpochSampler', shuffle=True)),
        ),
        random_states=[get_random_state()],
        gradients=[wrapper.accumulated_gradients()],
        faults=dict(bad_loss=False, gradients=None),
        **{
            KEY: describe_optimizer_types(wrapper, schedulers),
            AVERAGE: {'steps': torch.tensor(3), **{f'module.{name}': value.clone() for name, value in state.items()}},
        },
    )


def go_on_from(path):
    """Check a checkpoint as a run does, take it, and train for a step."""
    model, wrapper, schedulers = make_parts()
    checkpoint = check_train_state(read_checkpoint(path), path, wrapper, schedulers)
    check_weight_shapes(checkpoint, model.state_dict(), path)
    model.load_state_dict(checkpoint['state_dict'], strict=False)
    wrapper.load_state_dict(checkpoint['optimizer'])
    for scheduler, state in zip(schedulers, checkpoint['param_schedulers']):
        scheduler.load_state_dict(state)
    wrapper.initialize_count_status(model, checkpoint['meta']['iter'], 8)
    if checkpoint.get('gradients'):
        wrapper.set_accumulated_gradients(checkpoint['gradients'][0])
        if 'faults' in checkpoint:
            wrapper.set_faults(checkpoint['faults']['bad_loss'], checkpoint['faults']['gradients'])
    take_step(model, wrapper, schedulers)
