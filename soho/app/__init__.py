"""The web page of ``soho app``: a model that people ask in a browser, with gradio (the extra ``soho[app]``)."""
