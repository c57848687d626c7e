"""The page: a picture and a text on the left, on a phone above; answers, map and dictionary words beside."""

import sys
import traceback
from collections.abc import Iterator, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from soho.apis.inferencer import Inferencer
from soho.apis.model_zoo import find_model, format_results, sample_image
from soho.apis.vqa import TOP
from soho.app.pictures import MAX_BYTES, read_picture
from soho.app.tasks import Results, Task, WordShare
from soho.errors import UserError

KEPT = 3600
"""Seconds after which an uploaded picture is deleted."""
RUNNING, WAITING = 4, 64
"""Requests that are worked on, and that wait; more are refused. The model itself answers one at a time."""
FAILED = 'The model failed on this picture. Whoever serves this page finds the reason in its terminal.'
SHOW_RESULTS = """(value) => {
    if (value && Object.keys(value).length && window.innerWidth < 700)
        setTimeout(() => document.getElementById('found').scrollIntoView(), 100);
}"""
"""On a phone the results are below what is given; the page has drawn them a moment after they have changed."""
Update = dict[Any, Any]


def build_page(task: Task) -> gr.Blocks:
    """The page of a model, with the picture that ships with soho already asked about."""
    sample = sample_image()
    samples, example = [sample] * task.pictures, (task.examples or ('',))[0]
    files = [read_picture(path) for path in samples]
    first = task.ask(files, example)
    with gr.Blocks(title=f'soho: {task.title}', analytics_enabled=False, delete_cache=(KEPT // 6, KEPT)) as page:
        gr.HTML(write_header(task), js_on_load=None)
        asked = gr.State((samples, example))
        with gr.Row(elem_id='columns'):
            with gr.Column(elem_id='given'):
                with gr.Row():
                    pictures = [
                        gr.Image(
                            sample,
                            label='Picture' if task.pictures == 1 else ('Left', 'Right')[number % 2],
                            sources=['upload', 'clipboard', 'webcam'],
                            height=320,
                            buttons=[],
                            elem_id=f'picture-{number}',
                        )
                        for number in range(task.pictures)
                    ]
                message = gr.HTML(visible=False, js_on_load=None, elem_id='message')
                text = gr.Textbox(
                    example,
                    label=task.text or '',
                    lines=task.lines,
                    max_lines=max(task.lines, 8),
                    max_length=None,
                    submit_btn=False,
                    visible=task.text is not None,
                    elem_id='text',
                )
                button = gr.Button(task.button, variant='primary', elem_id='ask')
                with gr.Row(elem_id='examples'):
                    shown = task.examples if task.lines == 1 else ()
                    chips = [gr.Button(sentence, size='sm', min_width=0, elem_classes='chip') for sentence in shown]
                    back = gr.Button('Sample picture', size='sm', min_width=0, elem_classes='chip', visible=not chips)
            with gr.Column(elem_id='found'):
                results = gr.Label(
                    first or None,
                    label=task.results or '',
                    num_top_classes=None if task.lines > 1 else TOP,
                    visible=task.results is not None,
                    elem_id='results',
                )
                where = gr.Image(
                    task.explain(files, example) if task.explains else None,
                    label=write_map_label(first),
                    format='jpeg',
                    interactive=False,
                    buttons=['fullscreen'],
                    visible=task.explains,
                    elem_id='where',
                )
                gr.HTML(write_map_note(task), js_on_load=None, visible=task.explains, elem_classes='note')
                drawing, shares = task.find_words(files) if task.has_dictionary else (None, [])
                words = gr.Image(
                    drawing,
                    label='Dictionary words',
                    format='jpeg',
                    interactive=False,
                    buttons=['fullscreen'],
                    visible=task.has_dictionary,
                    elem_id='words',
                )
                legend = gr.HTML(
                    write_legend(shares), js_on_load=None, visible=task.has_dictionary, elem_classes='note'
                )
        gr.HTML(write_footer(), js_on_load=None)

        outputs = [results, where, words, legend, message, asked]
        empty = {
            results: None,
            where: gr.update(value=None, label=write_map_label({})),
            words: None,
            legend: '',
            asked: None,
        }
        quiet = gr.update(visible=False)

        def show_error(error: Exception) -> Any:
            return gr.update(value=f'<p role="alert">{escape(write_refusal(error))}</p>', visible=True)

        def check(picture: gr.Image, upload: Any) -> Update:
            """The page after an upload: without the results of another picture, and without one that is refused."""
            try:
                read_file(find_path(upload))
            except Exception as error:
                return {**empty, message: show_error(error), picture: None}
            return {**empty, message: quiet}

        def ask(*given: Any) -> Iterator[Update]:
            """Results first, then what takes longer."""
            *uploads, sentence = given
            try:
                paths = [find_path(upload) for upload in uploads]
                data = [read_file(path) for path in paths]
                best = task.ask(data, sentence)
                yield {**empty, results: best or None, message: quiet, asked: (paths, sentence)}
                if task.explains:
                    image = task.explain(data, sentence)
                    yield {where: gr.update(value=image, label=write_map_label(best))}
                if task.has_dictionary:
                    image, found = task.find_words(data)
                    yield {words: image, legend: write_legend(found)}
            except Exception as error:
                yield {**empty, message: show_error(error)}

        def explain(last: tuple[list[str], str] | None, chosen: gr.SelectData) -> Update:
            """The map of the answer that was chosen."""
            if last is None:
                return {message: quiet}
            try:
                image = task.explain([read_file(path) for path in last[0]], last[1], chosen.value)
            except Exception as error:
                return {message: show_error(error)}
            return {where: gr.update(value=image, label=write_map_label({chosen.value: 1.0}))}

        inputs = [*pictures, text]
        # Not preprocessed: gradio would open the file.
        asking = dict[str, Any](outputs=outputs, preprocess=False, show_progress_on=[results, where, words])
        within = dict[str, Any](api_visibility='private', show_progress='hidden')
        gr.on([button.click, text.submit], ask, inputs, api_name='ask', **asking)
        shows = results if task.results else words
        shows.change(None, shows, None, js=SHOW_RESULTS, api_visibility='private')
        for picture in pictures:
            picture.upload(partial(check, picture), picture, [picture, *outputs], preprocess=False, **within)
            picture.clear(lambda: {**empty, message: quiet}, None, outputs, **within)
        for chip in [*chips, back]:
            restored = [*samples, example if chip is back else chip.value]
            choice = chip.click(partial(list, restored), None, inputs, **within)
            choice.then(ask, inputs, api_visibility='private', **asking)
        if task.explains_each and task.explains:
            results.select(explain, asked, [where, message], api_visibility='private', show_progress_on=[where])
    page.queue(max_size=WAITING, default_concurrency_limit=RUNNING, api_open=False)
    return page


def find_path(upload: Any) -> str:
    """Where the file is that a person has uploaded.

    Args:
        upload: As a request has it; gradio checks the path only of what calls itself a file.

    Raises:
        UserError: There is none, or it is none that was uploaded.
    """
    if upload is None:
        raise UserError('There is no picture: choose one, or take the sample.')
    path = upload.get('path') if isinstance(upload, dict) else None
    folder = Path(get_upload_folder()).resolve()
    if not isinstance(path, str) or folder not in Path(path).resolve().parents:
        raise UserError('A picture is uploaded before it is asked about, and this one was not.')
    return path


def read_file(path: str) -> bytes:
    """The bytes of a picture that a person has given.

    Raises:
        UserError: It was deleted meanwhile, or it is refused.
    """
    try:
        return read_picture(path)
    except FileNotFoundError as error:
        raise UserError('The picture was deleted after an hour: give it again.') from error


def write_refusal(error: Exception) -> str:
    """The sentence that a person reads; what is nobody's fault goes to the terminal."""
    if isinstance(error, UserError):
        return str(error)
    traceback.print_exception(error, file=sys.stderr)
    return FAILED


def write_header(task: Task) -> str:
    """Title, and what is known of the model."""
    return f'<header><h1>{escape(task.title)}</h1><p>{describe_model(task.model)}</p></header>'


def describe_model(model: Inferencer) -> str:
    """A line of HTML about a model: its name, what it is for, what it reaches."""
    entry = find_model(model.source)
    # of a path the end, since many are called model.safetensors
    name = f'<code>{escape("/".join(Path(model.source).parts[-2:]))}</code>'
    if entry is None:
        figures = model.spec.facts.get('figures') or {}
        facts = [f'{key} {value:g}' for key, value in figures.items() if isinstance(value, (int, float))][:1]
    else:
        facts = [entry.note, format_results(entry)]
    return ' &middot; '.join([name, *(escape(fact) for fact in facts if fact)])


def write_map_label(results: Results) -> str:
    """Heading of a map."""
    return f'Where “{next(iter(results))}” came from' if results else 'Where it came from'


def write_map_note(task: Task) -> str:
    """What a map shows."""
    choose = ' Choose another answer to see its own.' if task.explains_each else ''
    return f'<p>Bright places speak for the result, by integrated gradients.{choose}</p>'


def write_legend(shares: Sequence[WordShare]) -> str:
    """The most frequent dictionary words with their tints."""
    entries = ''.join(
        f'<li><i style="background:{entry.color}"></i>word {entry.word} <small>{entry.share:.0%}</small></li>'
        for entry in shares
    )
    return f'<p>Cells of one tint hold the same word; the most frequent:</p><ul class="legend">{entries}</ul>'


def write_footer() -> str:
    """What becomes of a picture."""
    return (
        f'<footer>Pictures, up to {MAX_BYTES >> 20} MiB each, go to the machine that serves this page and nowhere '
        'else, and are deleted after an hour.</footer>'
    )
