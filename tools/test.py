"""Evaluate a checkpoint on the test data of a config.

python tools/test.py CONFIG CHECKPOINT [--out FILE] [--dump FILE.npz] [--amp] [--cfg-options KEY=VALUE ...]
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from soho import engine  # its names are imported when they are used, so that a refusal comes before torch
from soho.apis.sources import locate_checkpoint
from soho.engine import ConfigError, load_run, run_parser
from soho.errors import exit_on_user_error
from soho.platform import is_emulated

if TYPE_CHECKING:  # soho first: it prepares what mmengine's import needs
    from mmengine.config import Config


def build_config(argv: Sequence[str] | None = None) -> 'Config':
    """The config with the command line laid over it."""
    parser = run_parser('Evaluate a checkpoint on the test data of a config.')
    parser.add_argument('checkpoint', help='file, work dir, http(s)://, Hub id, or a name that `soho models` lists')
    parser.add_argument('--out', help="write the predictions in the task's official submission format")
    parser.add_argument('--dump', metavar='FILE.npz', help='write the raw predictions (for VQA: logits) as arrays')
    args = parser.parse_args(argv)
    checkpoint = locate_checkpoint(args.checkpoint)
    cfg = load_run(args)
    engine.check_complete(cfg, args.config, 'test')
    cfg.load_from = checkpoint
    cfg.resume = False
    if args.amp:
        import torch
        from mmengine.device import get_device

        # mmengine's name; on a CPU it is bfloat16
        cfg.test_cfg.fp16 = not is_emulated(torch.bfloat16, get_device())
    if args.out:
        if not isinstance(cfg.test_evaluator, dict):
            raise ConfigError(f'--out writes the answers of one metric, and {args.config} evaluates several')
        cfg.test_evaluator.out_file = args.out
    if args.dump:
        metrics = [cfg.test_evaluator] if isinstance(cfg.test_evaluator, dict) else list(cfg.test_evaluator)
        cfg.test_evaluator = [*metrics, dict(type='PredictionDump', out_file=args.dump)]
    return cfg


def main(argv: Sequence[str] | None = None) -> dict[str, float]:
    with exit_on_user_error():
        cfg = build_config(argv)
        runner = engine.Runner.from_cfg(cfg, ('test',))
        metrics = runner.test()
    if runner.rank == 0:
        print(json.dumps(metrics))
    return metrics


if __name__ == '__main__':
    main()
