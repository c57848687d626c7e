"""Write what answers questions, or the CNN of a checkpoint, as a file of ONNX or torch.export.

    python tools/convert/export.py CHECKPOINT OUT.onnx [--part vqa|cnn]

OUT ends in .onnx or .pt2 (torch.export). Batches, heights, widths and lengths of questions may change. OUT is read
again, compared with the model on several sizes, and kept where the outputs agree. Beside it OUT.json says what a
program needs besides: inputs and outputs, preprocessing, answers and vocabulary (docs/export.md). ONNX needs
``pip install ".[export]"``.
"""

import argparse
from collections.abc import Sequence

from soho.apis.commands import add_checkpoint_options
from soho.errors import exit_on_user_error


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='name of a shipped model, file, folder, http(s):// or Hub id')
    parser.add_argument('out', metavar='OUT', help='what is written: .onnx or .pt2')
    parser.add_argument(
        '--part', choices=('vqa', 'cnn'), help='pictures and questions to answers, or pictures to features'
    )
    parser.add_argument('--bound', type=float, help='largest difference to the model, as a share of the largest output')
    add_checkpoint_options(parser)
    args = parser.parse_args(argv)
    with exit_on_user_error(args.out):
        import soho
        from soho.apis.export import BOUND, export_model

        # the CNN of a model is exported without what its task needs, such as a vocabulary
        open_model = soho.FeatureExtractor if args.part == 'cnn' else soho.load
        given = {name: getattr(args, name) for name in ('config', 'class_names', 'vocabulary')}
        inferencer = open_model(args.checkpoint, device='cpu', **given)
        made = export_model(inferencer, args.out, args.part, BOUND if args.bound is None else args.bound)
    for shape, difference in made.differences.items():
        print(f'{shape}: differs by {difference:.1e} of the largest output')
    print(f'{made.files[0]}: {made.part} of {args.checkpoint}; {made.files[1]}: what a program needs besides')


if __name__ == '__main__':
    main()
