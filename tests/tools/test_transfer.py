"""tools/transfer on the tiny data set: frozen CNNs, linear SVMs and nearest neighbours."""

import json
from pathlib import Path

import pytest
import torch
from torchvision.models import resnet18

from soho.datasets.synthetic.exports.formats import EXPORTS
from soho.engine import load_config

SMALL = ['--backbone', 'depth=18', 'num_stages=2', '--workers', '1', '--batch-size', '16']
CUT = ['--resize', '48', '--crop', '40']


@pytest.fixture(scope='module')
def voc(synthetic, tmp_path_factory):
    """The data set's VOC2007 with VOC2012 in its trainval, whose own eight pictures are too few for some shape."""
    EXPORTS['voc'](synthetic)
    folder = tmp_path_factory.mktemp('voc') / 'VOC2007'
    parts = [synthetic / 'VOCdevkit' / year for year in ('VOC2007', 'VOC2012')]
    for name in ('ImageSets/Main', 'JPEGImages'):
        (folder / name).mkdir(parents=True)
        for path in (path for part in parts for path in sorted((part / name).iterdir())):
            with open(folder / name / path.name, 'ab') as file:
                file.write(path.read_bytes())
    return folder.parent


@pytest.fixture
def knn(load_tool, synthetic, monkeypatch):
    monkeypatch.setenv('SOHO_SYNTHETIC', str(synthetic))
    tool = load_tool('transfer/knn')
    return lambda *options: tool.main([*options, *SMALL, '--config', 'configs/demo/linear_probe.py'])


def test_svms(load_tool, voc, tmp_path, capsys):
    tool = load_tool('transfer/voc07_svm')

    def metrics(*options):
        return tool.main(['random', '--data', str(voc), *SMALL, *CUT, *options])

    first = metrics('--out', str(tmp_path / 'metrics.json'))
    table = capsys.readouterr().out
    assert json.loads((tmp_path / 'metrics.json').read_text()) == first
    assert first['images'] == dict(trainval=24, test=8) and list(first['classes'])[0] == 'circle'
    precisions = [row['average_precision'] for row in first['classes'].values()]
    assert first['mean_average_precision'] == pytest.approx(sum(precisions) / len(precisions))
    assert f'{first["mean_average_precision"]:.2f}  (area)' in table
    assert metrics('--eleven-points')['mean_average_precision'] != first['mean_average_precision']


def test_voc_lies_in_one_place(load_tool):
    data = load_tool('transfer/voc07_svm').parse_args(['random']).data
    single, boxes = (load_config(f'configs/_base_/datasets/{name}.py') for name in ('voc07_single', 'voc_boxes'))
    devkit = Path(boxes.data_root)
    assert devkit == data and Path(single.train_dataloader.dataset.root) == devkit / 'VOC2007'


def test_a_class_with_too_few_images_is_said_in_one_sentence(load_tool, tmp_path):
    sets = tmp_path / 'VOC2007' / 'ImageSets' / 'Main'
    sets.mkdir(parents=True)
    (sets / 'cow_trainval.txt').write_text('000001 1\n000002 -1\n')
    tool = load_tool('transfer/voc07_svm')
    with pytest.raises(SystemExit, match='shows a cow in 1 images of trainval; .* at least 3'):
        tool.main(['random', '--data', str(tmp_path), *SMALL])
    with pytest.raises(SystemExit, match='has no file CLASS_trainval.txt'):
        tool.main(['random', '--data', str(tmp_path / 'nowhere'), *SMALL])


def test_neighbours(knn, tmp_path, capsys):
    torch.save({f'backbone.{name}': value for name, value in resnet18().state_dict().items()}, tmp_path / 'cnn.pth')
    metrics = knn(str(tmp_path / 'cnn.pth'), '--out', str(tmp_path / 'metrics.json'))
    assert json.loads((tmp_path / 'metrics.json').read_text()) == metrics
    assert list(metrics['accuracy']) == ['category', 'color', 'texture']
    assert f'category: top1 {metrics["accuracy"]["category"]["top1"]:.2f} %' in capsys.readouterr().out
    assert knn(str(tmp_path / 'cnn.pth'), '--chunk', '9')['accuracy'] == metrics['accuracy']
    # With the training images as questions, the nearest neighbour of each is itself.
    data = [
        f'val_dataloader.dataset.{key}=objects_train2014{end}' for key, end in (('ann_file', '.json'), ('images', ''))
    ]
    own = knn(str(tmp_path / 'cnn.pth'), '-k', '1', '--cfg-options', *data)
    assert {values['top1'] for values in own['accuracy'].values()} == {100.0}


def test_data_without_labels_are_refused(load_tool, synthetic, monkeypatch):
    monkeypatch.setenv('SOHO_SYNTHETIC', str(synthetic))
    with pytest.raises(SystemExit, match='reads a VQADataset, which gives no labels'):
        load_tool('transfer/knn').main(['random', *SMALL, '--config', 'configs/demo/vqa.py'])
