"""One rank that divides with itself, for what several do as well."""

import pytest
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh


@pytest.fixture
def mesh():
    dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh('cpu', (1,))
    dist.destroy_process_group()
