from soho.datasets import transforms  # noqa: F401  (registers its parts)
from soho.datasets.captioning import CaptioningDataset, ObjectLabelsDataset
from soho.datasets.collate import collate
from soho.datasets.concat import ConcatDataset
from soho.datasets.keys import SampleKey
from soho.datasets.labels import LabelledImages
from soho.datasets.pretrain import PretrainDataset
from soho.datasets.samplers import AspectRatioBatchSampler, EpochSampler, OfficialBatchSampler, ShardSampler
from soho.datasets.tokenizer import BertTokenizer, SentencePieceTokenizer
from soho.datasets.vqa import VQADataset
from soho.datasets.workers import init_worker

__all__ = [
    'AspectRatioBatchSampler', 'BertTokenizer', 'CaptioningDataset', 'ConcatDataset', 'EpochSampler', 'LabelledImages',
    'ObjectLabelsDataset', 'OfficialBatchSampler', 'PretrainDataset', 'SampleKey', 'SentencePieceTokenizer',
    'ShardSampler', 'VQADataset', 'collate', 'init_worker'
]
