"""Products by oneDNN: as exact as float32 is, or not at all; where a config asks for it."""

import pytest
import torch

from soho.engine import Runner
from soho.engine.cpu import use_onednn_products


@pytest.fixture(autouse=True)
def _as_before():
    yield
    torch.set_float32_matmul_precision('highest')


def test_products_stay_float32():
    use_onednn_products()
    a, b = torch.randn(300, 700), torch.randn(700, 200)
    torch.testing.assert_close(a @ b, (a.double() @ b.double()).float(), rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(a[None] @ b[None], (a.double() @ b.double()).float()[None], rtol=1e-5, atol=1e-4)


def test_bfloat16_inside_of_products_is_refused(monkeypatch):
    monkeypatch.setattr(
        torch.Tensor,
        '__matmul__',
        lambda a, b: torch.mm(a.bfloat16().to(a), b.bfloat16().to(b)) if a.dtype == torch.float32 else torch.mm(a, b),
    )
    assert not use_onednn_products()
    assert torch.get_float32_matmul_precision() == 'highest'


@pytest.mark.parametrize('asked', [True, False])
def test_a_run_uses_them_where_its_config_says_so(asked, tiny_config, monkeypatch):
    calls = []
    for name in ('use_onednn_products', 'keep_freed_memory'):
        monkeypatch.setattr(f'soho.engine.runner.{name}', lambda name=name: calls.append(name))
    Runner.from_cfg(tiny_config(env_cfg=dict(onednn_products=asked, keep_freed_memory=asked)))
    assert calls == ['use_onednn_products', 'keep_freed_memory'] * asked
