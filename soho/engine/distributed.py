"""Several processes of one training."""

import os
import subprocess
from datetime import timedelta

import torch
import torch.distributed
from mmengine.dist import get_rank, get_world_size
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from soho.errors import UserError


def unwrap_model(model: nn.Module) -> nn.Module:
    """The model itself, out of ``DistributedDataParallel`` or another wrapper."""
    return model.get_submodule('module') if is_model_wrapper(model) else model


def gather_tensors(tensors: list[Tensor | None]) -> list[list[Tensor | None]]:
    """The tensors of every rank on the host of rank 0, one after the other; other ranks get empty lists.

    Args:
        tensors: As many on every rank, of the same shapes; ``None`` where all ranks have none.
    """
    world_size = get_world_size()
    gathered: list[list[Tensor | None]] = [[] for _ in range(world_size)]
    for tensor in tensors:
        if tensor is None:
            for of_rank in gathered if get_rank() == 0 else ():
                of_rank.append(None)
            continue
        tensor = tensor.contiguous()
        parts = [torch.empty_like(tensor) for _ in range(world_size)] if world_size > 1 else [tensor]
        if world_size > 1:
            torch.distributed.gather(tensor, parts if get_rank() == 0 else None)
        if get_rank() == 0:
            for of_rank, part in zip(gathered, parts):
                of_rank.append(part.cpu())
    return gathered


# Variables of rank, number of processes, and rank on its machine, by what started the processes.
_RANKS = dict(
    pytorch=('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
    mpi=('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
    slurm=('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
)


def name_ranks(launcher: str) -> None:
    """Set the variables that torch reads, from those of the program that started the processes.

    ``MASTER_ADDR`` and ``MASTER_PORT`` stay as they are; without them the first process is on this machine under
    mpirun, and on the first machine of the step under Slurm.

    Args:
        launcher: ``pytorch``, ``mpi`` or ``slurm``.

    Raises:
        UserError: This process was not started so, or the processes of mpirun are on several machines and nobody
            says where the first is.
    """
    missing = [name for name in _RANKS[launcher] if name not in os.environ]
    if missing:
        raise UserError(
            f'--launcher {launcher}: {missing[0]} is not set, so this process was not started by {launcher}'
        )
    os.environ.update(zip(_RANKS['pytorch'], [os.environ[name] for name in _RANKS[launcher]]))
    if launcher == 'mpi' and 'MASTER_ADDR' not in os.environ:
        if os.environ.get('OMPI_COMM_WORLD_LOCAL_SIZE') != os.environ['WORLD_SIZE']:
            raise UserError(
                '--launcher mpi on several machines: give the address of the first, mpirun -x MASTER_ADDR=...'
            )
        os.environ['MASTER_ADDR'] = '127.0.0.1'
    elif launcher == 'slurm' and 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_host()
    os.environ.setdefault('MASTER_PORT', '29500')  # as mmengine


def _first_host() -> str:
    """The first machine of a step of Slurm."""
    hosts = os.environ.get('SLURM_STEP_NODELIST') or os.environ.get('SLURM_NODELIST', '')
    try:
        said = subprocess.run(['scontrol', 'show', 'hostnames', hosts], capture_output=True, text=True, check=True)
        return said.stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        raise UserError(
            '--launcher slurm: scontrol does not say where the first process is: set MASTER_ADDR'
        ) from error


def init_gloo(timeout: float | None = None) -> None:
    """Start the process group where there is no GPU; mmengine starts one on GPUs only.

    Args:
        timeout: Seconds that an exchange may take, ``env_cfg.dist_cfg.timeout``; by default torch's 30 minutes.
    """
    if torch.cuda.is_available():
        return
    limit = None if timeout is None else timedelta(seconds=timeout)
    torch.distributed.init_process_group('gloo', timeout=limit)
