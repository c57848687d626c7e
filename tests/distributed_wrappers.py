"""What test_model_wrappers.py runs in two processes.

torchrun --nproc-per-node 2 tests/distributed_wrappers.py FOLDER OPTIONS
"""

import json
import sys

import mmengine
import torch
from mmengine.config import Config
from mmengine.model import BaseDataPreprocessor, BaseModel

from soho.engine import Runner
from soho.models import SyncBatchNorm
from soho.registry import DATASETS, MODELS


@MODELS.register_module()
class HalfUsed(BaseModel):
    """A model with a layer that no loss reaches, and a batch-norm."""

    def __init__(self):
        super().__init__(BaseDataPreprocessor())
        self.norm = torch.nn.BatchNorm1d(4)
        self.used = torch.nn.Linear(4, 1)
        self.unused = torch.nn.Linear(4, 1)

    def forward(self, x, mode='loss'):
        return dict(loss=self.used(self.norm(x)).square().mean())


@DATASETS.register_module()
class Rows(torch.utils.data.Dataset):
    metainfo = {}

    def __len__(self):
        return 24

    def __getitem__(self, i):
        return dict(x=torch.arange(4.0) * i)


def run(folder, name, options):
    cfg = dict(
        default_scope='soho',
        work_dir=folder,
        experiment_name=name,
        launcher='pytorch',
        randomness=dict(seed=0),
        model=dict(type='HalfUsed'),
        train_dataloader=dict(
            batch_size=4,
            dataset=dict(type='Rows'),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=3),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-3)),
    )
    runner = Runner.from_cfg(Config(dict(cfg, **options)))
    runner.train()
    wrapper = runner.model
    assert isinstance(wrapper.module.norm, SyncBatchNorm)
    return [type(wrapper).__name__, wrapper.find_unused_parameters, wrapper.broadcast_buffers]


if __name__ == '__main__':
    mmengine.config.config.FormatCode = lambda text, **_: (text, True)  # see conftest.py
    settings = [run(sys.argv[1], f'run{i}', options) for i, options in enumerate(json.loads(sys.argv[2]))]
    print(json.dumps(settings))
