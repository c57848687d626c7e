"""Evaluate a checkpoint: ``python tools/test.py CONFIG CHECKPOINT [--out FILE]``."""
import argparse
import json
import os

from mmengine.config import Config, DictAction

from soho.engine import ConfigError, Runner, default_work_dir, load_config, said_in_one_sentence


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Evaluate a checkpoint on the test data of a config.')
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path of the checkpoint')
    parser.add_argument('--out', help="write the predictions in the task's official submission format")
    parser.add_argument('--dump', metavar='FILE.npz', help='write the raw predictions (for VQA: logits) as arrays')
    parser.add_argument('--work-dir', help='where the log goes (default: work_dirs/<config>)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def build_config(args: argparse.Namespace) -> Config:
    """The config with the command line laid over it."""
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or default_work_dir(args.config)
    cfg.load_from = args.checkpoint
    cfg.resume = False
    if args.out:
        if not isinstance(cfg.test_evaluator, dict):
            raise ConfigError(f'--out writes the answers of one metric, and {args.config} evaluates several')
        cfg.test_evaluator.out_file = args.out
    if args.dump:
        metrics = [cfg.test_evaluator] if isinstance(cfg.test_evaluator, dict) else list(cfg.test_evaluator)
        cfg.test_evaluator = [*metrics, dict(type='PredictionDump', out_file=args.dump)]
    return cfg


def main(argv=None) -> dict:
    with said_in_one_sentence():
        runner = Runner.from_cfg(build_config(parse_args(argv)))
        figures = runner.test()
    if runner.rank == 0:
        print(json.dumps(figures))
    return figures


if __name__ == '__main__':
    main()
