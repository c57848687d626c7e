"""What cannot work is said before anything is built or written; what only looks so works."""

import pytest
from mmengine.evaluator import BaseMetric, DumpResults
from mmengine.fileio import load

from soho.datasets.storage import hub
from soho.engine import Runner
from soho.engine.data_checks import open_datasets
from soho.errors import UserError
from soho.evaluation.evaluator import Evaluator
from soho.models.widths import fill_widths, get_argument
from soho.registry import MODELS


@pytest.fixture
def refused(load_tool, tiny_config, tmp_path, monkeypatch, capsys):
    """Train with these changes of a VQA run; returns the sentence, before which nothing was said, built or written."""

    def train(**changes):
        cfg = tiny_config('vqa', **changes)
        cfg.dump(str(tmp_path / 'recipe.py'))
        monkeypatch.setattr(Runner, 'build_model', lambda *_: pytest.fail('a model was built'))
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            load_tool('train').main([str(tmp_path / 'recipe.py'), '--work-dir', str(tmp_path / 'run')])
        assert not (tmp_path / 'run').exists() and not capsys.readouterr().out
        assert '\n' not in str(stopped.value)
        return str(stopped.value)

    return train


@pytest.mark.parametrize(
    'changes, sentence',
    [
        ({'train_dataloader.dataset.ann_file': 'none.json'}, 'none.json'),
        ({'train_dataloader.dataset.images': 'none'}, 'none.zip, and neither exists'),
        ({'train_dataloader.dataset.pipeline.2.tokenizer.vocab': '/none/vocab.txt'}, 'vocabulary file /none/vocab.txt'),
        ({'model.language.vocab_size': 100}, 'entries, more than the 100 that model.language.vocab_size provides for'),
        ({'model.heads.vqa.num_classes': 3}, "but the head 'vqa' has num_classes=3"),
        ({'model.heads.vqa.hidden_size': 64}, 'model.heads.vqa.hidden_size of the config is 64, and the hidden width'),
        ({'model.neck.out_channels': 64}, 'model.neck.out_channels of the config is 64'),
        ({'train_dataloader.dataset.pipeline.3.keys': ['question_id']}, "gives no 'answer_labels', which the head"),
        ({'load_from': 'none.pth'}, 'there is no checkpoint none.pth, which load_from names'),
        ({'model.language.pretrained': '/none'}, 'the pretrained language model /none is neither a file, nor a folder'),
        (
            {'model.backbone.init_cfg': dict(type='Pretrained', checkpoint='no.pth')},
            'no checkpoint no.pth, which init_cfg',
        ),
        (
            {'model.backbone.init_cfg': dict(type='Pretrained', checkpoint='own/efficientnet_lite0.safetensors')},
            'which init_cfg of the model names: `soho prepare pretrained --out own` fetches it',
        ),
        ({'model.language.pretrained': 'own/minilm'}, ': `soho prepare pretrained --out own` fetches it'),
    ],
)
def test_said_before_anything_is_built(changes, sentence, refused):
    assert sentence in refused(**changes)


def test_data_that_were_checked_are_not_opened_again(tiny_config, monkeypatch):
    from soho.datasets.vqa import VQADataset

    opened = []
    load_annotations = VQADataset.load_annotations
    monkeypatch.setattr(VQADataset, 'load_annotations', lambda self: opened.append(load_annotations(self)))
    runner = Runner.from_cfg(tiny_config('vqa'), ('train',))
    assert len(opened) == 1
    runner.train()
    assert len(opened) == 1 and runner.iter > 0


def test_widths_are_stated_once():
    language = dict(type='CrossModalBert', hidden_size=24)
    neck, heads = fill_widths(
        language, dict(type='PlainNeck', in_channels=5), dict(itm=dict(type='ITMHead'), mlm=dict(type='MLMHead'))
    )
    assert neck['out_channels'] == 24 and heads['itm']['hidden_size'] == 24 and heads['mlm'] == dict(type='MLMHead')
    bert = MODELS.build(dict(language, num_attention_heads=2, num_hidden_layers=1, intermediate_size=4)).config
    assert (bert.hidden_size, bert.vocab_size) == (24, get_argument(language, 'vocab_size'))
    assert get_argument(dict(type='CrossModalBert'), 'hidden_size') == type(bert)().hidden_size


@pytest.mark.parametrize('keys', [dict(persistent_workers=True), dict(prefetch_factor=4)])
def test_without_workers_their_settings_are_left_out(keys, run_training):
    assert run_training(iters=1, **{f'train_dataloader.{key}': value for key, value in keys.items()}).iter == 1


@pytest.mark.parametrize(
    'changes, sentence',
    [
        (
            {'train_dataloader.batch_size': 4000, 'train_dataloader.batch_sampler.drop_last': True},
            r'train_dataloader of the config gives no batch: its \d+ samples do not fill one of 4000 on each rank',
        ),
        (
            {
                'train_dataloader.batch_size': 4000,
                'train_dataloader.batch_sampler': None,
                'train_dataloader.drop_last': True,
            },
            'gives no batch',
        ),
        ({'train_cfg.max_epochs': 0}, 'train_cfg of the config trains for 0 iterations'),
        ({'train_cfg': dict(type='IterBasedTrainLoop', max_iters=0, _delete_=True)}, 'trains for 0 iterations'),
    ],
)
def test_a_run_of_no_step_is_refused_and_saves_nothing(changes, sentence, tiny_config, tmp_path):
    with pytest.raises(UserError, match=sentence):
        Runner.from_cfg(tiny_config('vqa', **changes)).train()
    assert not list((tmp_path / 'run').rglob('*.pth'))


def test_a_metric_of_mmengine_gets_what_mmengine_hands_on(tmp_path):
    class Count(BaseMetric):
        def process(self, data_batch, data_samples):
            self.results += [sample['logits'] for sample in data_samples]

        def compute_metrics(self, results):
            return dict(sum=sum(results))

    evaluator = Evaluator([Count(), DumpResults(str(tmp_path / 'all.pkl'))])
    for value in (1, 2):
        evaluator.process([dict(logits=value)], dict(image=value))
    assert evaluator.evaluate(2) == dict(sum=3)
    assert load(str(tmp_path / 'all.pkl')) == [dict(logits=1), dict(logits=2)]


def test_a_hub_that_cannot_be_reached_is_said_at_once(monkeypatch):
    from soho.datasets.tokenizer import BertTokenizer

    def no_network(*_, **__):
        raise ConnectionError('no route')

    monkeypatch.setattr('huggingface_hub.model_info', no_network)
    for ask in (lambda: BertTokenizer('no-such/model'), lambda: hub.find_file('no-such/model', ['a'], 'the model')):
        with pytest.raises(UserError, match=r'no-such/model is neither .*ConnectionError.*`export SOHO_BERT=FOLDER`'):
            ask()


@pytest.mark.parametrize(
    'contents, sentence',
    [
        (b'', r'vocab\.txt lacks \[PAD\], \[UNK\], \[CLS\], \[SEP\], \[MASK\]'),
        (b'[PAD]\n\xff\xfe', r'the vocabulary .*vocab\.txt cannot be read: .*UTF-8'),
    ],
)
def test_a_vocabulary_that_is_none(contents, sentence, tmp_path):
    from soho.datasets.tokenizer import BertTokenizer

    (tmp_path / 'vocab.txt').write_bytes(contents)
    for name in (tmp_path, tmp_path / 'vocab.txt'):
        with pytest.raises(UserError, match=sentence) as error:
            BertTokenizer(str(name))
        assert '\n' not in str(error.value)


def test_a_byte_order_mark_belongs_to_no_token(synthetic, tmp_path):
    from soho.datasets.tokenizer import BertTokenizer

    text = (synthetic / 'vocab.txt').read_bytes()
    (tmp_path / 'vocab.txt').write_bytes(b'\xef\xbb\xbf' + text)
    marked, plain = (BertTokenizer(str(folder)) for folder in (tmp_path, synthetic))
    assert marked.pad_id == plain.pad_id == 0 and marked.digest() == plain.digest()


def test_nothing_is_opened_for_splits_that_are_not_there(tiny_config):
    assert open_datasets(tiny_config('pretrain'), ('val', 'test')) == {}
