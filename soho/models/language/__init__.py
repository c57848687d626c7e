from soho.models.language.cross_modal_bert import CrossModalBert

__all__ = ['CrossModalBert']
