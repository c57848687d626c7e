"""One rank that shards with itself, for what several do as well; and runs that know nothing of one another."""

import pytest
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from tests.engine.small_runs import Record


@pytest.fixture(autouse=True, scope='module')
def _quick():
    """What a run says of its machine takes longer than the run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('mmengine.runner.runner.collect_env', dict)
        yield


@pytest.fixture(autouse=True)
def _first_run(monkeypatch):
    """The samples of each iteration are those of a test's own first run, with which its later ones are compared."""
    monkeypatch.setattr(Record, 'seen', {})


@pytest.fixture
def mesh():
    dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh('cpu', (1,))
    dist.destroy_process_group()
