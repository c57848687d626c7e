"""The card of a model on the Hub: how it is asked, what it learnt from, and what it reaches."""

from typing import Any

from huggingface_hub import ModelCardData

from soho.engine.checkpoint.inference_spec import InferenceSpec
from soho.version import __version__

TASKS = {
    'VQA': 'visual-question-answering',
    'VisualEntailment': 'visual-question-answering',
    'VisualReasoning': 'visual-question-answering',
    'Captioner': 'image-to-text',
    'FeatureExtractor': 'image-feature-extraction',
}
PAPERS = {'SOHO': 'https://arxiv.org/abs/2104.03135', 'VirTex': 'https://arxiv.org/abs/2006.06666'}
CALLS = {
    'VQA': "model('a.jpg', 'how many?')",
    'VisualEntailment': "model('a.jpg', 'A dog runs.')",
    'VisualReasoning': "model(['left.jpg', 'right.jpg'], 'There are three dogs.')",
    'Retriever': "model(['a.jpg', 'b.jpg'], 'a dog on a lawn')",
}


def write_model_card(inferencer: str, spec: InferenceSpec, repo_id: str = 'OWNER/NAME', **more: Any) -> str:
    """The card in Markdown, with the Hub's metadata on top.

    Args:
        inferencer: Name of the class that asks the model.
        spec: What the checkpoint says.
        repo_id: Where the model is on the Hub.
        **more: Further sections, title to text.
    """
    facts = spec.facts
    # No licence: that of a model is for who trained it to choose.
    data = ModelCardData(library_name='soho', pipeline_tag=TASKS.get(inferencer), tags=['soho', 'vision-language'])
    kind = spec.model.get('type', 'model')
    lines = [
        '---',
        data.to_yaml(),
        '---',
        '',
        f'# {facts.get("experiment", kind)}',
        '',
        f'A {kind} model{f" ({PAPERS[kind]})" if kind in PAPERS else ""}, saved by soho {__version__}.',
        '',
        '```python',
        'import soho',
        '',
        f'model = soho.{inferencer}({repo_id!r})',
        CALLS.get(inferencer, "model('a.jpg')"),
        '```',
        '',
        '## Data',
        '',
        *([f'- `{name}`' for name in facts.get('data', ())] or ['The checkpoint does not say on what it was trained.']),
    ]
    if spec.class_names:
        lines += ['', f'{len(spec.class_names)} answers: {", ".join(spec.class_names[:20])}, ...'[:500]]
    lines += ['', '## Training', '']
    stated = [f'- {name}: {facts[name]}' for name in ('experiment', 'epoch', 'iter', 'seed') if name in facts]
    lines += stated or ['The checkpoint does not say how it was trained.']
    if command := facts.get('command'):
        lines += ['', '```bash', str(command), '```']
    lines += ['', '## Figures', '']
    figures = facts.get('figures') or {}
    if figures:
        lines += [
            '| on validation data | |',
            '|---|---|',
            *(f'| {name} | {value:g} |' for name, value in figures.items()),
        ]
    else:
        lines += ['The checkpoint holds no figures.']
    for title, text in more.items():
        lines += ['', f'## {title.replace("_", " ").capitalize()}', '', str(text)]
    return '\n'.join(lines) + '\n'
