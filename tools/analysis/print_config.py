"""Print a config as it is after its bases and options, or what differs between two.

    python tools/analysis/print_config.py CONFIG [--cfg-options KEY=VALUE ...]      # as Python
    python tools/analysis/print_config.py CONFIG --diff OTHER                       # KEY: of CONFIG -> of OTHER

``--cfg-options`` change CONFIG, not OTHER. A name that ``soho configs`` lists does for a file.
"""

import argparse
import logging
from collections.abc import Sequence

from mmengine.logging import MMLogger

from soho.engine import load_config
from soho.engine.command_line import add_config_options
from soho.engine.config_diff import compare_configs
from soho.errors import exit_on_user_error


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='path or name of a config')
    parser.add_argument('--diff', metavar='OTHER', help='print only the keys in which OTHER differs, one a line')
    add_config_options(parser)
    args = parser.parse_args(argv)
    MMLogger.get_current_instance().setLevel(logging.WARNING)  # what is printed is the config and nothing else
    with exit_on_user_error():
        cfg = load_config(args.config, args.cfg_options)
        other = load_config(args.diff) if args.diff else None
    if other is None:
        print(cfg.pretty_text.rstrip())
        return
    differences = compare_configs([cfg.to_dict(), other.to_dict()])
    for key, (mine, theirs) in differences.items():
        print(f'{key}: {mine} -> {theirs}')
    if not differences:
        print(f'{args.config} and {args.diff} are the same')


if __name__ == '__main__':
    main()
