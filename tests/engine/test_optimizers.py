"""Two rules in one optimizer against plain loops, groups by pattern, mixed precision on a CPU."""

import math

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from soho.engine import AmpOptimWrapper
from soho.engine.optimizers import AdamWLARS, AdamWSGD
from soho.engine.optimizers.adamw_sgd import _add_unless
from soho.engine.optimizers.optim_wrapper import OptimWrapper

STEPS, LR = 5, 0.1


def gradients(missing):
    """(STEPS, 3) gradients of three tensors; with ``missing`` the first has none in odd steps."""
    generator = torch.Generator().manual_seed(1)
    return [
        [None if missing and step % 2 and i == 0 else torch.randn(4, 3, generator=generator) for i in range(3)]
        for step in range(STEPS)
    ]


def tensors():
    generator = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(4, 3, generator=generator)) for _ in range(3)]


def train(optimizer, params, grads):
    for step in grads:
        for p, grad in zip(params, step):
            p.grad = grad
        optimizer.step()
    return [p.detach() for p in params]


def adamw(grads, betas=(0.9, 0.999), eps=1e-6, decay=0.0, correct_bias=True):
    """BERT's AdamW, tensor by tensor: eps beside the uncorrected root, decay after the update."""
    for i, p in enumerate(values := [p.detach().double() for p in tensors()]):
        m, v, t = torch.zeros_like(p), torch.zeros_like(p), 0
        for step in grads:
            if step[i] is None:
                continue
            g, t = step[i].double(), t + 1
            m = betas[0] * m + (1 - betas[0]) * g
            v = betas[1] * v + (1 - betas[1]) * g * g
            size = LR * math.sqrt(1 - betas[1] ** t) / (1 - betas[0] ** t) if correct_bias else LR
            p -= size * m / (v.sqrt() + eps)
            p -= LR * decay * p
    return values


def sgd(grads, momentum=0.0, dampening=0.0, decay=0.0, nesterov=False):
    for i, p in enumerate(values := [p.detach().double() for p in tensors()]):
        buffer = None
        for step in grads:
            if step[i] is None:
                continue
            g = step[i].double() + decay * p
            if momentum:
                buffer = g.clone() if buffer is None else momentum * buffer + (1 - dampening) * g
                g = g + momentum * buffer if nesterov else buffer
            p -= LR * g
    return values


@pytest.mark.parametrize('missing', [False, True])
@pytest.mark.parametrize(
    'options', [{}, dict(decay=0.1), dict(betas=(0.8, 0.9), eps=1e-2), dict(correct_bias=False, decay=0.01)]
)
def test_adamw_of_the_transformer(options, missing):
    params, grads = tensors(), gradients(missing)
    renamed = {dict(decay='adamw_weight_decay').get(name, name): value for name, value in options.items()}
    result = train(AdamWSGD(params, lr=LR, **renamed), params, grads)
    torch.testing.assert_close(result, [p.float() for p in adamw(grads, **options)])


@pytest.mark.parametrize('correct_bias', [True, False])
def test_the_fused_kernel_gets_its_counter_as_float32(correct_bias, monkeypatch):
    """The one for GPUs reads other types as if they were: 1 is then 1e-45."""
    handed = []
    monkeypatch.setattr(torch, '_fused_adamw_', lambda *args, **kwargs: handed.extend(args[5]))
    train(AdamWSGD(params := tensors(), correct_bias=correct_bias), params, gradients(False)[:1])
    assert len(handed) == 3 and all(steps.dtype == torch.float32 for steps in handed)


@pytest.mark.parametrize('missing', [False, True])
@pytest.mark.parametrize(
    'options',
    [
        {},
        dict(momentum=0.9),
        dict(momentum=0.9, decay=0.1),
        dict(momentum=0.9, dampening=0.3, decay=0.1),
        dict(momentum=0.9, nesterov=True),
    ],
)
def test_sgd_of_the_cnn(options, missing):
    params, grads = tensors(), gradients(missing)
    renamed = {dict(decay='sgd_weight_decay').get(name, name): value for name, value in options.items()}
    result = train(AdamWSGD([dict(params=params, opt='sgd')], lr=LR, **renamed), params, grads)
    torch.testing.assert_close(result, [p.float() for p in sgd(grads, **options)])


def test_each_group_has_its_own_rule_and_rate():
    params, grads = tensors(), gradients(False)
    optimizer = AdamWSGD([dict(params=params[:1], opt='sgd', lr=LR), dict(params=params[1:])], lr=LR / 4, momentum=0.5)
    result = train(optimizer, params, grads)
    torch.testing.assert_close(result[0], sgd(grads, momentum=0.5)[0].float())
    assert not torch.allclose(result[1], adamw(grads)[1].float(), atol=1e-3)
    optimizer = AdamWSGD([dict(params=(again := tensors())[:1], opt='sgd'), dict(params=again[1:])], lr=LR)
    torch.testing.assert_close(train(optimizer, again, grads)[1:], [p.float() for p in adamw(grads)[1:]])


@pytest.mark.parametrize('opt', ['adamw', 'sgd'])
def test_a_saved_state_goes_on_where_it_was(opt):
    grads, whole, parts = gradients(True), tensors(), tensors()
    make = lambda params: AdamWSGD([dict(params=params, opt=opt)], lr=LR, momentum=0.9)  # noqa: E731
    train(make(whole), whole, grads)
    first = make(parts)
    train(first, parts, grads[:2])
    second = make(parts)
    second.load_state_dict(first.state_dict())
    train(second, parts, grads[2:])
    assert all(p.equal(q) for p, q in zip(whole, parts))


def test_lars_scales_each_tensor_by_its_norms():
    """With momentum 0: p -= lr * eta * |p| / (|g| + decay |p|) * (g + decay p)."""
    params, grads = tensors(), gradients(False)
    options = dict(lr=LR, eta=0.02, lars_weight_decay=0.1)
    result = train(AdamWLARS([dict(params=params, opt='lars')], **options), params, grads)
    again = tensors()
    plain = train(AdamWLARS([dict(params=again, opt='lars', lars_exclude=True)], **options), again, grads)
    for i, p in enumerate(p.detach().double() for p in tensors()):
        for g in (step[i].double() for step in grads):
            p -= LR * 0.02 * p.norm() / (g.norm() + 0.1 * p.norm()) * (g + 0.1 * p)
        torch.testing.assert_close(result[i], p.float())
    torch.testing.assert_close(plain, [p.float() for p in sgd(grads, decay=0.1)])


@pytest.mark.parametrize(
    'make, message',
    [
        (lambda: AdamWSGD(tensors(), lr=-1.0), r'AdamWSGD: lr is -1\.0; it cannot be negative'),
        (lambda: AdamWSGD(tensors(), sgd_weight_decay=-0.1), 'sgd_weight_decay is -0.1'),
        (
            lambda: AdamWSGD([dict(params=tensors(), opt='lars')]),
            r"AdamWSGD has no rule 'lars'; a group's opt is one of",
        ),
    ],
)
def test_what_cannot_be_is_said(make, message):
    with pytest.raises(ValueError, match=message):
        make()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4))
        self.head = nn.Linear(4, 2)
        self.backbone[0].requires_grad_(False)

    def forward(self, x):
        return self.head(self.backbone(x))


def wrapper(patterns, **options):
    return build_optim_wrapper(
        Net(),
        dict(
            type='OptimWrapper',
            constructor='soho.PatternConstructor',
            paramwise_cfg=dict(patterns=patterns),
            optimizer=dict(dict(type='soho.AdamWSGD', lr=1e-3, momentum=0.9), **options),
        ),
    )


def test_patterns_choose_rule_and_rate():
    groups = wrapper(
        {r'\Abackbone\.': dict(opt='sgd', lr_mult=100), r'bias\Z': dict(adamw_weight_decay=0.0)},
        adamw_weight_decay=0.01,
    ).optimizer.param_groups
    found = {tuple(sorted(tuple(p.shape) for p in g['params'])): g for g in groups}
    backbone, bias, rest = found[(4,), (4, 4)], found[((2,),)], found[((2, 4),)]
    assert len(groups) == 3  # the frozen layer is in none
    assert (backbone['opt'], backbone['lr'], backbone['momentum']) == ('sgd', pytest.approx(0.1), 0.9)
    assert (bias['opt'], bias['lr'], bias['adamw_weight_decay']) == ('adamw', 1e-3, 0.0)
    assert (rest['opt'], rest['lr'], rest['adamw_weight_decay']) == ('adamw', 1e-3, 0.01)


def test_a_pattern_that_matches_nothing_is_an_error():
    with pytest.raises(ValueError, match=r"the pattern 'bakbone' of paramwise_cfg matches no parameter"):
        wrapper(dict(bakbone=dict(opt='sgd')))
    with pytest.raises(ValueError, match='eta_mult, but the optimizer config states no eta to multiply'):
        wrapper(dict(backbone=dict(eta_mult=2)))
    with pytest.raises(ValueError, match=r"paramwise_cfg has \['custom_keys'\]; PatternConstructor knows only"):
        build_optim_wrapper(
            Net(),
            dict(
                constructor='soho.PatternConstructor',
                optimizer=dict(type='soho.AdamWSGD', lr=1.0),
                paramwise_cfg=dict(patterns={}, custom_keys={}),
            ),
        )


class TestAmp:
    def make(self, dtype=None, **options):
        torch.manual_seed(0)
        net = Net()
        return net, AmpOptimWrapper(
            optimizer=torch.optim.SGD([p for p in net.parameters() if p.requires_grad], 0.05), dtype=dtype, **options
        )

    def make_float32(self, **options):
        torch.manual_seed(0)
        net = Net()
        weights = [p for p in net.parameters() if p.requires_grad]
        return net, OptimWrapper(optimizer=torch.optim.SGD(weights, 0.05), **options)

    @pytest.mark.parametrize(
        'dtype, cast', [(None, torch.bfloat16), ('bfloat16', torch.bfloat16), ('float16', torch.float16)]
    )
    def test_trains_on_a_cpu(self, dtype, cast, monkeypatch):
        monkeypatch.setattr('soho.platform.has_bfloat16_units', lambda: True)
        net, optim = self.make(dtype=dtype)
        x, losses = torch.randn(16, 3), []
        for _ in range(30):
            with optim.optim_context(net):
                out = net(x)
                loss = (out.float() - 1).square().mean()
            assert out.dtype == cast
            optim.update_params(loss)
            losses.append(loss.item())
        assert losses[-1] < 0.3 * losses[0]
        assert all(p.dtype == torch.float32 for p in net.parameters())

    @pytest.mark.parametrize('dtype', [None, 'bfloat16', 'float16'])
    def test_a_cpu_that_would_emulate_bfloat16_trains_in_float32(self, dtype, monkeypatch):
        monkeypatch.setattr('soho.platform.has_bfloat16_units', lambda: False)
        said = []
        monkeypatch.setattr('soho.engine.optimizers.optim_wrapper.print_log', lambda line, logger: said.append(line))
        net, optim = self.make(dtype=dtype)
        with optim.optim_context(net):
            out = net(torch.randn(16, 3))
        assert out.dtype == (torch.float16 if dtype == 'float16' else torch.float32)
        assert len(said) == (dtype != 'float16') and all('float32' in line for line in said)

    def test_float16_skips_a_step_that_overflows_and_lowers_its_scale(self):
        net, optim = self.make(dtype='float16', loss_scale=dict(init_scale=2.0**10))
        before = net.head.weight.clone()
        loss = net(torch.randn(2, 3)).sum() * float('inf')
        optim.update_params(loss)
        assert net.head.weight.equal(before) and optim.loss_scaler.get_scale() == 2.0**9

    @pytest.mark.parametrize('max_norm', [None, 0.05])
    @pytest.mark.parametrize('dtype, bound', [(None, 1e-5), ('bfloat16', 3e-2), ('float16', 5e-3)])
    def test_accumulation_is_the_larger_batch(self, dtype, bound, max_norm):
        """Two updates, each from one batch, two halves, or four quarters: the weights move alike."""
        x, moved = torch.randn(16, 3), []
        for counts in (1, 2, 4):
            options = dict(accumulative_counts=counts, clip_grad=max_norm and dict(max_norm=max_norm))
            scale = dict(init_scale=128.0)  # the usual one overflows here, and the step is skipped
            net, optim = self.make(dtype, loss_scale=scale, **options) if dtype else self.make_float32(**options)
            before = net.head.weight.detach().clone()
            optim.initialize_count_status(net, 0, 2 * counts)
            for part in x.chunk(2 * counts):
                with optim.optim_context(net):
                    loss = (net(part).float() - 1).square().mean()
                optim.update_params(loss)
            moved.append(net.head.weight.detach() - before)
        largest = moved[0].abs().max().item()
        assert largest > 5e-4 and (largest < 0.005) == bool(max_norm)  # two updates of 0.05 times the norm
        for other in moved[1:]:
            torch.testing.assert_close(other, moved[0], rtol=0, atol=bound * largest)

    def test_state_is_saved(self):
        _, optim = self.make(dtype='float16', loss_scale=dict(init_scale=8.0))
        _, other = self.make(dtype='float16')
        other.load_state_dict(optim.state_dict())
        assert other.loss_scaler.state_dict()['scale'] == 8.0

    def test_a_run_in_bfloat16_goes_on_in_float16(self):
        _, optim = self.make(dtype='bfloat16')
        _, other = self.make(dtype='float16', loss_scale=8)
        other.load_state_dict(optim.state_dict())
        assert other.loss_scaler.get_scale() == 8.0

    def test_unknown_scale(self):
        with pytest.raises(ValueError, match=r"loss_scale is 'static'; it is 'dynamic', a number, or arguments of"):
            self.make(dtype='float16', loss_scale='static')

    def test_unknown_dtype(self):
        with pytest.raises(ValueError, match=r"dtype is 'fp16'; mixed precision takes one of \['bfloat16'"):
            self.make(dtype='fp16')


def test_the_loss_scale_is_bounded_as_published():
    model = nn.Linear(2, 1)
    wrapper = AmpOptimWrapper(
        optimizer=AdamWSGD(model.parameters()), dtype='float16', loss_scale=dict(max_scale=128.0, growth_interval=1)
    )
    scales = []
    for value in (1.0, torch.inf, 1.0, 1.0):
        wrapper.update_params(model(torch.ones(1, 2)).sum() * value)
        scales.append(wrapper.loss_scaler.get_scale())
    assert scales == [128.0, 64.0, 128.0, 128.0]


@pytest.mark.parametrize('shape', [(1,), (37,), (64, 3, 7, 7), (513, 129)])
def test_weight_decay_that_may_be_skipped_has_the_same_digits(shape):
    weights = [torch.randn(shape) for _ in range(3)]
    for alpha in (-1e-6, -3.3e-4, -0.01):
        plain, watched, skipped = ([w.clone() for w in weights] for _ in range(3))
        _add_unless(None, plain, alpha)
        _add_unless(torch.zeros(()), watched, alpha)
        _add_unless(torch.ones(()), skipped, alpha)
        assert all(map(torch.equal, watched, plain)) and all(map(torch.equal, skipped, weights))
        assert not any(map(torch.equal, watched, weights)) or shape == (1,)
