"""Text of the demo's report, written for readers without background, around its metrics and pictures."""

from collections.abc import Sequence
from typing import Any

from demo.summary import ANSWER_TYPES, OBJECTIVES, format_metric
from soho.visualization.report import (
    Chart,
    Example,
    Section,
    Tile,
    Word,
    render_charts,
    render_code,
    render_examples,
    render_page,
    render_table,
    render_words,
)

Json = dict[str, Any]


def compose_page(
    summary: Json,
    manifest: Json,
    itm_chance: Json,
    pretraining: Sequence[Chart],
    finetuning: Sequence[Chart],
    examples: Sequence[Example],
    words: Sequence[Word],
) -> str:
    """Return the report as an HTML page.

    Args:
        summary: Contents of ``summary.json``, see :func:`demo.summary.summarize`.
        manifest: Contents of ``synthetic.json``, the data set's manifest.
        itm_chance: ITM accuracy in percent without looking, on ``training`` and ``held_out`` pictures.
        pretraining: Charts of the pretraining.
        finetuning: Charts of the fine-tuning.
        examples: Questions with answers.
        words: Words of the dictionary with the regions nearest to them.
    """
    lead = [
        'SOHO learns from images and the sentences that go with them, end to end: a convolutional network '
        'sees the picture, a visual dictionary gives each cell of its grid the nearest of a few hundred '
        'learnt words, and a transformer reads these together with the text. No object detector is involved.',
        'This page shows one run of the demo, on pictures, captions and questions that the project generates '
        'itself. It starts from weights that ship with the project, which hours of pretraining on the same '
        f'captions have made. It ran on {summary["device"]}.',
    ]
    sections = [
        _accuracy(summary, manifest),
        _examples(examples),
        _pretraining(summary, manifest, itm_chance, pretraining),
        Section(
            'Fine-tuning on questions',
            [
                'The loss is summed over all possible answers. The validation pictures are neither among those '
                'of the training nor among those of the test.'
            ],
            render_charts(finetuning),
        ),
        _dictionary(summary, words),
        _provenance(summary),
    ]
    return render_page('SOHO on a synthetic data set', lead, _tiles(summary), sections)


def _tiles(summary: Json) -> list[Tile]:
    test = summary['test']
    return [
        Tile(
            'VQA accuracy',
            f'{summary["vqa_accuracy"]:.1f} %',
            f'{test["questions"]:,} questions about {test["pictures"]:,} pictures not seen in training',
        ),
        Tile(
            'Without the image',
            f'{summary["vqa_accuracy_without_image"]:.1f} %',
            'the same model, trained on the questions alone',
        ),
        Tile(
            'Most frequent answer',
            f'{summary["vqa_accuracy_most_frequent_answer"]:.1f} %',
            'nothing learnt, only counted',
        ),
        Tile('Time', f'{summary["seconds"]["total"] / 60:.1f} min', 'data, three trainings, evaluation'),
    ]


def _accuracy(summary: Json, manifest: Json) -> Section:
    images, questions = manifest['images'], manifest['questions']
    by_type = summary['vqa_accuracy_per_answer_type']
    rows = [
        [name, f'{summary[key]:.2f}', *(format_metric(by_type[part], kind, '.2f') for kind in ANSWER_TYPES)]
        for name, key, part in (
            ('With the image', 'vqa_accuracy', 'with_image'),
            ('Without the image', 'vqa_accuracy_without_image', 'without_image'),
            ('Most frequent answer', 'vqa_accuracy_most_frequent_answer', 'most_frequent_answer'),
        )
    ]
    return Section(
        'Answers to unseen questions',
        [
            'After pretraining on captions, the model was trained on '
            f'{questions["train2014"]:,} questions about {images["train2014"]:,} pictures. The table gives the '
            f'official VQA accuracy in percent on {questions["test2015"]:,} questions about '
            f'{images["test2015"]:,} test pictures. The test was scored once.',
            '“Without the image” is the same language model, trained on the same questions, but never shown a '
            'picture: what it scores can be guessed. “Most frequent answer” gives the commonest answer of the '
            'training set to the same question text, or else to the same kind of question, and counts exact '
            'agreement. What the model scores above these it has read off the pictures.',
        ],
        render_table(['', 'overall', *ANSWER_TYPES.values()], rows),
    )


def _examples(examples: Sequence[Example]) -> Section:
    right = sum(example.score >= 0.995 for example in examples)
    return Section(
        'Example questions',
        [
            f'{len(examples)} test questions, chosen without regard to their answers: the test pictures in the '
            'order of their file, evenly spaced from the first to the last; of the first of these its first '
            f'question, of the second its second, and so on. {right} of {len(examples)} are answered fully '
            'right. Beside each picture, bright is what spoke for the answer (integrated gradients). In brackets '
            "stands the model's own confidence. Ten annotators answered each question, and "
            'now and then one is mistaken or uses another word.'
        ],
        render_examples(examples),
    )


def _pretraining(summary: Json, manifest: Json, itm_chance: Json, charts: Sequence[Chart]) -> Section:
    images, metrics = manifest['images'], summary['pretrain']
    rows = [
        [
            f'{label} ({key.upper()})',
            format_metric(metrics, f'loss_{key}', '.3f'),
            format_metric(metrics, f'acc_{key}', '.2f'),
        ]
        for key, label in OBJECTIVES.items()
    ]
    return Section(
        'Pretraining',
        [
            'Matching images and text is learnt in hours; the demo goes on from where the longer recipe ended, for '
            f'a few minutes. Pretraining sees {images["train2014"]:,} pictures with captions and '
            f'{images["visual_genome"]:,} more with descriptions of single objects. It has three tasks: guess words '
            'that are masked in a sentence (MLM), guess dictionary words that are masked in the picture (MVM), and '
            'tell whether a sentence belongs to the picture or to another one, or has one word exchanged (ITM). '
            'Without looking, always giving the more '
            f'frequent of these two answers is right for {itm_chance["training"]:.0f} % of the training sentences '
            f'and {itm_chance["held_out"]:.0f} % of the held-out ones; the dashed line is the former. '
            'Curves of training batches are running means of five logged values, since a batch has few masked '
            f'dictionary words. The table is measured on {metrics["measured_on"]}. '
            'Fine-tuning takes all of it but the three heads.'
        ],
        render_table(['', 'loss', 'accuracy %'], rows) + render_charts(charts),
    )


def _dictionary(summary: Json, words: Sequence[Word]) -> Section:
    usage = summary['dictionary']
    return Section(
        'What words of the visual dictionary stand for',
        [
            f'The dictionary has {usage["words"]} words, learnt without any label. On the '
            f'{summary["test"]["pictures"]:,} test pictures {usage["used"]} of them are used; their perplexity, '
            f'the number of equally frequent words that would be as varied, is {usage["perplexity"]:.0f}.',
            'The words below stand at evenly spaced ranks in the more used half. Each is shown by the grid '
            'cells (framed) nearest to it, at most one from a picture. The network also looks at what '
            'surrounds a cell, so a word need not be explained by what is inside the frame.',
        ],
        render_words(words),
    )


def _provenance(summary: Json) -> Section:
    # How long the page itself takes is not known while it is written.
    known = {name: value for name, value in summary['seconds'].items() if name != 'report'}
    seconds = ', '.join(f'{name} {value:.0f}' for name, value in known.items())
    versions = ', '.join(f'{name} {value}' for name, value in summary['versions'].items())
    commit = f' Commit {summary["git_commit"][:12]}.' if summary['git_commit'] else ''
    return Section(
        'How it was made',
        [
            f'Seconds: {seconds}. Seed {summary["seed"]}. Versions: {versions}.{commit}',
            'The demo does all of it with one command; step by step it is:',
        ],
        render_code(summary['commands']),
    )
