"""tools.benchmark through its command: every part measures something, on the tiny data set and tiny pictures."""

import argparse
import json
import sys
import time
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from soho.engine.hooks import RuntimeInfoHook
from tools.benchmark import (
    alternatives,
    api,
    bench,
    device_tests,
    every_pair,
    gpu_check,
    growth,
    guards,
    host,
    official,
    operators,
    recipes,
    startup,
    training,
)
from tools.benchmark import race as races
from tools.benchmark.memory import in_a_fresh_process

pytestmark = pytest.mark.slow
BENCH = dict(device='cpu', dtype='float32', repeat=1)
SMALL = [
    '--device',
    'cpu',
    '--images',
    '2',
    '--sentences',
    '2',
    '--size',
    '64x96',
    '--repeat',
    '1',
    '--batches',
    '2',
    '--captions',
    '2000',
    '--together',
]


def race_here(args, candidates):
    """As the race, in this process, which saves half a minute."""
    results = {}
    for name, candidate in candidates.items():
        here = bench.Bench(args)
        calls = candidate.build(here, *candidate.args)
        seconds = dict(zip(calls, here.split(list(calls.values()))))
        results[name] = races.Result(dict(seconds, whole=sum(seconds.values())), here.memory.peak(), args.dtype)
    return results


def start_here(captions):
    """As a part that stands for itself is measured in ``result``; two more processes would take half a minute."""
    metrics = dict(first_batch=2.0, workers=3 * 2**20, main=4 * 2**20)
    return startup.Starts(captions, 1, metrics, dict(metrics, first_batch=1.0))


@pytest.fixture(scope='module')
def tool(load_tool):
    return load_tool('benchmark/run_benchmark')


@pytest.fixture(scope='module')
def measure(tool, synthetic, tmp_path_factory):
    """Figures of parts by their names; the sizes that the command line cannot change are made small."""

    def run(*parts):
        out = tmp_path_factory.mktemp('benchmark') / 'metrics.json'
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv('SOHO_SYNTHETIC', str(synthetic))
            patch.setattr(bench, 'WARM_UP', 0)
            for module in (recipes, alternatives):
                patch.setattr(module, 'CROP', (64, 64))
            patch.setattr(alternatives, 'VILT_SIZE', (64, 96))
            patch.setattr(alternatives, 'race', race_here)
            patch.setattr(growth, 'in_a_fresh_process', lambda function, *args: function(*args))
            for name in ('AREAS', 'SENTENCES', 'WORDS', 'LENGTHS'):
                patch.setattr(growth, name, getattr(growth, name)[:1])
            patch.setattr(growth, 'RANKS', (2,))
            patch.setattr(every_pair, 'SETS', {'1,000 x 5,000': (16, 40)})
            patch.setattr(growth, 'start_twice', start_here)
            tool.main([*parts, *SMALL, '--out', str(out)])
        return json.loads(out.read_text())

    yield run
    torch.set_float32_matmul_precision('highest')


@pytest.fixture(scope='module')
def result(measure):
    return measure('floors', 'vqa', 'virtex', 'inference', 'captions', 'data', 'startup', 'loop')


def test_says_under_which_circumstances(result):
    assert {'date', 'device', 'dtype', 'threads', 'torch', 'transformers', 'commit', 'command'} < result.keys()


def test_a_step_is_the_sum_of_its_parts_and_has_flops(result):
    metrics = {
        row['what'].rpartition(': ')[2]: row['value']
        for row in result['rows']
        if row['what'].startswith('vqa step, 2 images x 2 sentences at 64x96')
    }
    parts = (metrics[part] for part in ('data', 'forward', 'backward', 'optimizer'))
    assert metrics['whole'] == pytest.approx(sum(parts), rel=1e-6)
    # Three layers of width 768 over 16 words and a cell, four sentences; the last one at [CLS] only.
    assert 0.005 < metrics['products and convolutions'] < 0.02
    assert 0 < metrics['of the rate of a matrix product'] < 100


def test_an_update_reads_and_writes_weights_and_states_and_reads_gradients():
    weight = torch.nn.Parameter(torch.ones(1000))
    optimizer = torch.optim.AdamW([weight, torch.nn.Parameter(torch.ones(5))])  # without a gradient, so not updated
    weight.sum().backward()
    optimizer.step()
    assert training.update_bytes(optimizer) == pytest.approx((2 + 1 + 2 + 2) * 4000, rel=0.01)


def test_every_figure_is_positive_and_named_once(result):
    names = [row['what'] for row in result['rows']]
    assert len(set(names)) == len(names)
    assert [row for row in result['rows'] if not row['unit'] or not row['value'] >= 0] == []
    assert [row for row in result['rows'] if row['value'] == 0 and row['unit'] != 'GiB'] == []
    assert {name.split(' at ')[0].split(':')[0] for name in names} >= {
        'data, VirTex, 224',
        'demo fine-tuning in bfloat16',
        'floors',
        'vqa inference',
        'captions, beam 5, 30 tokens',
    }


def test_the_pipelines_of_the_recipes_stand_beside_their_floors(result):
    metrics = {row['what']: row['value'] for row in result['rows']}
    for recipe in ('pretraining, 1000x600', 'VQA, 1333x400 to 1333x800', 'demo, 96x72', 'VirTex, 224'):
        name = f'data, {recipe}:'
        worker = metrics[f'{name} one worker']
        for floor in ('decoding', 'decoding and resizing'):
            share = 100 * worker / metrics[f'{name} {floor} alone']
            assert metrics[f'{name} worker against {floor}'] == pytest.approx(share)
    assert metrics['2005 captions: memory of 8 workers'] > 1


def test_the_loop_stands_beside_its_step(result):
    metrics = {row['what']: row['value'] for row in result['rows']}
    for recipe in ('demo fine-tuning in bfloat16', 'pretrain step, 2 images x 2 sentences at 64x96'):
        share = 100 * metrics[f'{recipe}: step alone'] / metrics[f'{recipe}: loop']
        assert metrics[f'{recipe}: loop against the step'] == pytest.approx(share)


def test_a_switch_reaches_our_models(tool):
    args = tool.parse_args(
        [
            *SMALL,
            '--compile',
            '--cfg-options',
            'model.backbone.with_cp=True',
            'model.data_preprocessor.channels_last=False',
            'optim_wrapper.clip_grad.max_norm=3.0',
        ]
    )
    step = training.Step(bench.Bench(args), 'vqa')
    assert step.model.backbone.with_cp and step.wrapper.clip_grad_kwargs['max_norm'] == 3.0
    assert step.model.data_preprocessor.memory_format is torch.contiguous_format
    assert step.model.backbone._compiled_call_impl and step.model.language._compiled_call_impl


def test_alternatives_are_compared_in_both_directions(measure):
    metrics = {row['what']: row['value'] for row in measure('alternatives')['rows']}
    pairs = {name.rpartition(': faster than ')[0] for name in metrics if ': faster than ' in name}
    assert {race.split(' at ')[0].split(',')[0] for race in pairs} == {'vqa inference', 'vqa step', 'ResNet-50 step'}
    for name, times in metrics.items():
        race, _, whom = name.rpartition(': faster than ')
        if race:
            assert times == pytest.approx(metrics[f'{race}: {whom}'] / metrics[f'{race}: ours, float32'])


def test_a_call_is_measured_beside_the_model(monkeypatch):
    clock = [0.0]

    def takes(seconds):
        return lambda *_: clock.__setitem__(0, clock[0] + seconds)

    monkeypatch.setattr(bench, 'time', SimpleNamespace(process_time=lambda: clock[0]))
    monkeypatch.setattr(api, '_run', takes(10))
    model = SimpleNamespace(prepare=lambda _: dict(image=np.zeros((4, 6, 3))), collate=takes(1))
    asked = api.Asked('answers', model, takes(12), lambda image: image, sizes=(1, 2), turns=(3, 1))
    here = bench.Bench(argparse.Namespace(**BENCH), False)
    measured = [*api._one_picture(here, asked), *api._folder(here, asked)]
    rows = {what.rpartition(': ')[2]: value for what, value, _ in measured}
    assert rows['call with an array, over the model'] == pytest.approx(20)
    assert rows['call with a file, over the same by hand'] == pytest.approx(100 * 12 / 11 - 100)
    assert rows['by hand, batches of 2'] == pytest.approx(2 / 11) and rows['call'] == pytest.approx(4 / 12)
    assert rows['call, of the best by hand'] == pytest.approx(100 * (4 / 12) / (2 / 11))


def test_guards_are_measured_beside_the_step(monkeypatch):
    monkeypatch.setattr(guards, '_saving', lambda *_: [])  # of a gigabyte
    clock = [0.0]

    def takes(seconds, place, name):
        call = getattr(place, name)

        def timed(*args):
            clock[0] += seconds
            return call(*args)

        monkeypatch.setattr(place, name, timed)

    monkeypatch.setattr(bench, 'time', SimpleNamespace(process_time=lambda: clock[0]))
    takes(10, guards.Step, 'gradients')
    takes(1, guards, '_update_without')
    for name in ('before', 'update', 'after'):
        takes(0.5, guards._Guards, name)
    args = argparse.Namespace(**BENCH, images=2, sentences=1, size=(64, 96), cfg_options={}, compile=False)
    rows = {what.rpartition(': ')[2]: value for what, value, _ in guards.guards(bench.Bench(args, False))}
    assert 0 < rows['what guards add'] < rows['a step without']
    assert rows['what guards add'] == pytest.approx(500) and rows['a step without'] == pytest.approx(11_000)
    assert rows['of the step'] == pytest.approx(100 * rows['what guards add'] / rows['a step without'])


def test_the_host_s_time_around_a_step_is_the_sum_of_its_parts(monkeypatch):
    tell = RuntimeInfoHook.after_train_iter

    def tell_slowly(*args, **kwargs):
        end = time.thread_time() + 10e-3
        while time.thread_time() < end:
            pass
        tell(*args, **kwargs)

    monkeypatch.setattr(RuntimeInfoHook, 'after_train_iter', tell_slowly)
    monkeypatch.setattr(host, 'WINDOW', 50)
    monkeypatch.setattr(host, 'TRAININGS', dict(pretraining=host.TRAININGS['pretraining']._replace(samples=100_000)))
    rows = {what.rpartition(': ')[2]: ms for what, ms, _ in host.host(bench.Bench(argparse.Namespace(**BENCH), False))}
    whole = rows.pop('around a step')
    assert rows.pop('first batch of an epoch') > 0
    assert {'RuntimeInfoHook', 'LoggerHook', 'ParamSchedulerHook', 'loader and sampler', 'loop'} < rows.keys()
    assert whole == pytest.approx(sum(rows.values())) and rows.pop('RuntimeInfoHook') >= 10
    assert sum(rows.values()) < 10  # about 1 without what the hook waits for


def test_every_pair_is_scored_and_a_peer_s_way_is_computed(measure):
    rows = {row['what'].partition(': ')[2]: row['value'] for row in measure('every_pair')['rows']}
    assert rows['16 x 40, image encoded once'] == pytest.approx(16 * 40 / rows['image encoded once'] / 60)
    both = rows['both sides again for each pair']
    assert rows['16 x 40, both sides again (computed)'] == pytest.approx(16 * 40 / both / 3600)
    assert rows['image encoded once'] > both


def test_growth_has_time_and_memory_of_every_point(measure):
    metrics = {row['what']: row['value'] for row in measure('growth')['rows']}
    steps = [name for name in metrics if f'{name}, peak memory' in metrics]
    assert [name.partition(':')[0].removeprefix('growth with ') for name in steps] == [
        'image area',
        'sentences an image',
        'dictionary size',
        'caption length',
        'ranks, one thread each',
    ]
    for captions in growth.CAPTIONS:
        name = f'growth with the number of captions: {captions}'
        assert metrics[f'{name}, first start'] == 2 and metrics[f'{name}, memory of 8 workers'] == 3


def test_ranks_need_a_gpu_each(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    monkeypatch.setattr(growth, 'in_a_fresh_process', lambda *args: (1.0, 1.0))
    monkeypatch.setattr(growth, 'start_twice', start_here)
    monkeypatch.setattr(growth, 'across_ranks', lambda args, ranks: (float(ranks), 1.0))
    here = argparse.Namespace(args=argparse.Namespace(device='cuda', size=(64, 96), sentences=2))
    names = [what for what, _, _ in growth.growth(here)]
    assert [name for name in names if 'ranks' in name] == ['growth with ranks: 1', 'growth with ranks: 1, peak memory']


def test_operators_have_shares_of_the_whole(measure):
    shares = {}
    for row in measure('operators')['rows']:
        what, _, kind = row['what'].partition(': ')
        shares.setdefault(what, {})[kind] = row['value']
    assert len(shares) == 5
    for kinds in shares.values():
        assert sum(kinds.values()) == pytest.approx(100) and kinds['products'] > 0 and kinds['convolutions'] > 0


@pytest.mark.parametrize(
    'kind, names',
    dict(
        optimizer=[
            'aten::_fused_adamw_',
            'multi_tensor_apply_kernel<TensorListMetadata, FusedAdamMathFunctor>',
            'at::native::FusedSgdMathFunctor<float, 3>',
            'aten::_foreach_norm',
        ],
        attention=[
            'pytorch_flash::flash_fwd_kernel<traits>',
            'fmha_cutlassF_bf16_aligned_64x64_rf_sm80',
            'cudnn_generated_native_sdpa_sm90_flash_bprop',
            'aten::_scaled_dot_product_flash_attention_for_cpu',
        ],
        norms=[
            'cudnn::bn_fw_tr_1C11_kernel_NCHW<float>',
            'vectorized_layer_norm_kernel<c10::BFloat16, float>',
            'GammaBetaBackwardCUDAKernelTemplate',
            'aten::native_batch_norm_backward',
        ],
        convolutions=[
            'sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize128x128x64_cudnn',
            'sm80_xmma_wgrad_implicit_gemm_indexed_tf32f32',
            'implicit_convolve_sgemm<float>',
            'aten::mkldnn_convolution',
        ],
        products=[
            'nvjet_hsh_128x256_64x4_1x2_h_bz_coopA_NTT',
            'sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128',
            'void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_relu_bf16_256x128_32x3_tn_align8>',
            'aten::mm',
            'aten::addmm',
            'aten::bmm',
            'aten::mkldnn_linear',
        ],
        copies=['Memcpy HtoD (Pinned -> Device)', 'vectorized_elementwise_kernel<4, at::native::FillFunctor<float>>'],
        elementwise=['at::native::GeluCUDAKernelImpl', 'cunn_SoftMaxForward<8, float>'],
    ).items(),
)
def test_kernels_are_of_their_kind(kind, names):
    assert [operators.kind_of(name) for name in names] == [kind] * len(names)


def peak_of(mebibytes):
    memory = bench.Bench(argparse.Namespace(**BENCH)).memory
    torch.ones(mebibytes * 2**18)
    return memory.peak()


def test_peak_memory_is_what_was_held_at_once():
    assert in_a_fresh_process(peak_of, 512) == pytest.approx(0.5, abs=0.05)


def sleepers(here, first, second, dtype='float32'):
    assert torch.get_float32_matmul_precision() == 'highest' and here.args.dtype == dtype
    return dict(first=partial(time.sleep, first), second=partial(time.sleep, second))


def failing(here):
    raise ValueError('no weights')


def test_candidates_take_turns_in_processes_of_their_own():
    args = argparse.Namespace(**BENCH)
    results = races.race(
        args,
        dict(
            ours=races.Candidate(sleepers, (0.01, 0.02), False),
            slow=races.Candidate(sleepers, (0.05, 0.04, 'float16'), False, 'float16'),
        ),
    )
    rows = {what: value for what, value, _ in races.rows_of('sleep', results)}
    assert rows['sleep, whole: ours, float32'] >= 30  # a busy machine sleeps longer
    assert rows['sleep, whole: slow, float16'] >= 90
    for part in ('first', 'second', 'whole'):
        ratio = rows[f'sleep, {part}: slow, float16'] / rows[f'sleep, {part}: ours, float32']
        assert rows[f'sleep, {part}: faster than slow, float16'] == pytest.approx(ratio)
    with pytest.raises(RuntimeError, match='slow failed: ValueError: no weights'):
        races.race(args, dict(slow=races.Candidate(failing)))


@pytest.mark.parametrize(
    'device, half, dtype, names',
    [
        ('cpu', True, 'float32', ['official', 'official, with the same settings']),
        ('cuda', True, 'float16', ['official']),
        ('cuda', False, 'float32', ['official']),
    ],
)
def test_a_release_runs_as_published(device, half, dtype, names):
    args = argparse.Namespace(device=device, dtype='bfloat16')
    candidates = races.published(args, 'official', sleepers, 1, dtype=races.published_dtype(args, half))
    assert list(candidates) == names
    assert all(candidate.dtype == dtype and candidate.args == (1,) for candidate in candidates.values())
    assert candidates[names[-1]].tuned


def test_a_release_is_imported_without_the_packages_that_it_only_mentions(tmp_path):
    package = tmp_path / 'oldrelease'
    package.mkdir()
    (package / '__init__.py').write_text('import fused_kernels.of_2021\nfrom fused_kernels import ANSWER\n')
    stand_ins = ('fused_kernels', 'fused_kernels.of_2021', 'json')
    with official.checkout(tmp_path, 'oldrelease', stand_ins, ANSWER=42):
        import oldrelease
    assert oldrelease.ANSWER == 42
    assert 'fused_kernels' not in sys.modules and sys.modules['json'] is json and str(tmp_path) not in sys.path
    with (
        pytest.raises(FileNotFoundError, match='does not hold the package virtex: give the top folder'),
        official.checkout(tmp_path, 'virtex', ()),
    ):
        pass


def test_a_part_that_fails_does_not_stop_the_others(tool, tmp_path, monkeypatch, capsys):
    def measure(part, args):
        return [(part, 1.0, 's')] if part != 'data' else recipes.pictures(args)

    monkeypatch.setattr(tool, 'measure', measure)
    monkeypatch.setenv('SOHO_SYNTHETIC', str(tmp_path))
    out = tmp_path / 'metrics.json'
    with pytest.raises(SystemExit, match='error: not measured: data'):
        tool.main(['floors', 'data', 'loop', *SMALL, '--out', str(out)])
    result = json.loads(out.read_text())
    assert [row['what'] for row in result['rows']] == ['floors', 'loop']
    assert result['failed']['data'].startswith(
        f'there is no {tmp_path}/coco_cap_train_pre.json: generate the synthetic'
    )
    assert f'error: data: {result["failed"]["data"]}' in capsys.readouterr().err


TEST_SUITE = """
import pytest

@pytest.mark.parametrize('name', ['a', 'b'])
def test_a_step(name, record_property):
    record_property('peak_memory_mib', dict(a=3, b=512)[name])

def test_more():
    assert not {failing}

@pytest.mark.skip
def test_elsewhere():
    pass
"""


def test_the_tests_of_a_device_are_counted_with_their_memory(tmp_path, monkeypatch):
    suite = tmp_path / 'test_suite.py'
    monkeypatch.setattr(device_tests, 'SUITES', dict(cpu=[str(suite)]))
    monkeypatch.setattr(device_tests, 'PROCESSES', 0)
    here = bench.Bench(argparse.Namespace(**BENCH), False)
    suite.write_text(TEST_SUITE.format(failing=False))
    rows = {what: value for what, value, _ in device_tests.device_tests(here)}
    assert rows['device tests: passed'] == 3 and rows['device tests: peak memory of test_a_step[b]'] == 0.5
    suite.write_text(TEST_SUITE.format(failing=True))
    with pytest.raises(RuntimeError, match=r'1 of 3 tests failed: \S*test_suite::test_more: .*assert'):
        device_tests.device_tests(here)
    monkeypatch.setattr(device_tests, 'SECONDS', dict(cpu=0.01))
    with pytest.raises(RuntimeError, match='the tests took longer than 0.01 seconds'):
        device_tests.device_tests(here)


def test_the_check_of_a_gpu_is_several_parts_until_its_time_is_over(tool, tmp_path, monkeypatch):
    out = tmp_path / 'metrics.json'
    arguments = ['gpu_check', '--device', 'cpu', '--together', '--official-virtex', 'DIR', '--out', str(out)]
    args = tool.parse_args([*arguments, '--repeat', '3'])
    assert args.parts == ['device_tests', 'floors', 'pretrain', 'vqa', 'virtex', 'official_virtex', 'alternatives']
    assert (args.size, args.images, args.repeat) == ((64, 96), 2, 3)
    large = tool.parse_args(['gpu_check', '--device', 'cuda'])
    assert large.size == (608, 1024) and 'official_virtex' not in large.parts
    assert (args.minutes, large.minutes) == (30, 8)
    monkeypatch.setattr(gpu_check, 'MINUTES', dict(cpu=8))
    clock = iter(range(0, 10_000, 200))
    monkeypatch.setattr(time, 'monotonic', lambda: next(clock))
    monkeypatch.setattr(tool, 'measure', lambda part, args: [(part, 1.0, 's')])
    with pytest.raises(SystemExit, match='error: not measured: pretrain, vqa, virtex, official_virtex, alternatives'):
        tool.main(arguments)
    result = json.loads(out.read_text())
    assert [row['what'] for row in result['rows']] == ['device_tests', 'floors']
    assert 'the 8 minutes of the check are over' in result['failed']['pretrain']


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (['--device', 'gpu'], "invalid choice: 'gpu' (choose from"),
        (['everything'], "there is no part 'everything'; the parts are device_tests, floors"),
        (['official_soho'], 'official_soho needs --official-soho DIR, a checkout of the official release'),
    ],
)
def test_a_wrong_part_is_one_sentence(arguments, sentence, tool, capsys):
    with pytest.raises(SystemExit):
        tool.parse_args(arguments)
    assert sentence in capsys.readouterr().err
