from soho.datasets import transforms  # noqa: F401  (registers its parts)
from soho.datasets.coco_captions import CaptioningDataset
from soho.datasets.coco_detection import CocoDetection, LVISDetection
from soho.datasets.coco_object_labels import ObjectLabelsDataset
from soho.datasets.collate import collate
from soho.datasets.concat import ConcatDataset
from soho.datasets.image_folders import ImageFolders
from soho.datasets.inaturalist import INaturalist
from soho.datasets.labelled_images import LabelledImages
from soho.datasets.pretrain import PretrainDataset
from soho.datasets.sample_key import SampleKey
from soho.datasets.samplers import (
    AspectRatioBatchSampler,
    EpochSampler,
    OfficialBatchSampler,
    RepeatFactorSampler,
    ShardSampler,
)
from soho.datasets.tokenizer import BertTokenizer, SentencePieceTokenizer
from soho.datasets.voc07 import VOC07
from soho.datasets.voc_detection import VOCDetection
from soho.datasets.vqa import VQADataset
from soho.datasets.workers import init_worker

__all__ = [
    'VOC07',
    'AspectRatioBatchSampler',
    'BertTokenizer',
    'CaptioningDataset',
    'CocoDetection',
    'ConcatDataset',
    'EpochSampler',
    'INaturalist',
    'ImageFolders',
    'LVISDetection',
    'LabelledImages',
    'ObjectLabelsDataset',
    'OfficialBatchSampler',
    'PretrainDataset',
    'RepeatFactorSampler',
    'SampleKey',
    'SentencePieceTokenizer',
    'ShardSampler',
    'VOCDetection',
    'VQADataset',
    'collate',
    'init_worker',
]
