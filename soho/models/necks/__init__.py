from soho.models.necks.dictionary_neck import DictionaryNeck
from soho.models.necks.fpn import FPN
from soho.models.necks.plain import PlainNeck
from soho.models.necks.visual_dictionary import VisualDictionary

__all__ = ['FPN', 'DictionaryNeck', 'PlainNeck', 'VisualDictionary']
