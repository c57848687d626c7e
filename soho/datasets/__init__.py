"""Data sets, one annotation format a file, and the way of a sample into a batch."""

from soho.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        'coco_captions': ['CaptioningDataset'],
        'coco_detection': ['CocoDetection', 'LVISDetection'],
        'coco_object_labels': ['ObjectLabelsDataset'],
        'concat': ['ConcatDataset'],
        'image_folders': ['ImageFolders'],
        'inaturalist': ['INaturalist'],
        'labeled_images': ['LabeledImages'],
        'nlvr': ['NLVRDataset'],
        'nlvr2': ['NLVR2Dataset'],
        'pretrain': ['PretrainDataset'],
        'retrieval': ['RetrievalDataset'],
        'sample_key': ['SampleKey'],
        'samplers': [
            'AspectRatioBatchSampler',
            'EpochSampler',
            'OfficialBatchSampler',
            'RepeatFactorSampler',
            'ShardSampler',
        ],
        'snli_ve': ['SNLIVEDataset'],
        'tokenizer': ['BertTokenizer', 'SentencePieceTokenizer'],
        'voc07': ['VOC07'],
        'voc_detection': ['VOCDetection'],
        'vqa': ['VQADataset'],
        'workers': ['init_worker'],
    },
)
