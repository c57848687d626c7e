from soho.models.heads.base import Head
from soho.models.heads.itm import ITMHead
from soho.models.heads.labels import LabelHead
from soho.models.heads.mlm import MLMHead
from soho.models.heads.mvm import MVMHead
from soho.models.heads.vqa import VQAHead

__all__ = ['Head', 'ITMHead', 'LabelHead', 'MLMHead', 'MVMHead', 'VQAHead']
