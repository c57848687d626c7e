"""The same numbers as the official releases: recorded values beside this project's.

What kind of file it is follows from its contents. A new kind is a function
``check(fixture)`` and its line in ``KINDS``.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from soho.errors import UserError
from tests.parity import (
    pair_tasks,
    retrieval,
    soho_data,
    soho_dictionary,
    soho_forward,
    soho_keys,
    soho_notes,
    soho_optimizer,
    soho_training,
    virtex_data,
    virtex_decoding,
    virtex_forward,
    virtex_images,
    virtex_keys,
    virtex_metrics,
    virtex_optimizer,
    virtex_text,
    virtex_training,
)
from tests.parity.fixture import Fixture, Row

__all__ = ['KINDS', 'Fixture', 'Kind', 'Row', 'check_file']


class Kind(NamedTuple):
    """A kind of fixture."""

    title: str
    matches: Callable[[Fixture], bool]
    check: Callable[[Fixture], None]


def _has(*parts: str) -> Callable[[Fixture], bool]:
    """Whether for each part some value's name contains it."""
    return lambda fixture: all(any(part in '/' + name for name in fixture.values) for part in parts)


KINDS: list[Kind] = [
    Kind('SOHO training steps', _has('/in_img_q', '/in_positions_'), soho_training.check_training),
    Kind('SOHO pretraining model', _has('/in_img_q', '/in_mask_selection'), soho_forward.check_pretraining),
    Kind('SOHO VQA model', _has('/in_img_q', '/in_label_rows'), soho_forward.check_vqa),
    Kind('SOHO visual dictionary', _has('/num_tokens', '/token_dim', '/inputs'), soho_dictionary.check_dictionary),
    Kind('SOHO optimizers', _has('/init/', '/grads/', '/defaults'), soho_optimizer.check_optimizer),
    Kind('SOHO learning rates', _has('/iters_per_epoch', '/base_lr'), soho_optimizer.check_schedule),
    Kind('SOHO images', _has('/jpeg', '/decoded_bgr'), soho_data.check_images),
    Kind('SOHO tokens', _has('/vocab_sha256', '/text'), soho_data.check_text),
    Kind('SOHO sampler', _has('/flag', '/indices_per_rank'), soho_data.check_sampler),
    Kind('SOHO caption groups', _has('/python_random_seed', '/annotation'), soho_data.check_grouping),
    Kind('SOHO checkpoint entries', _has('/keys/', '/parameters', '/tied'), soho_keys.check_keys),
    Kind('VirTex checkpoint entries', _has('/models/', '/detectron2/rename/'), virtex_keys.check_keys),
    Kind('VirTex captioning model and decoding', _has('/logit_columns', '/images_u8'), virtex_forward.check_captioning),
    Kind('VirTex losses and gradients', _has('/eval_loss', '/grad_norm'), virtex_training.check_training),
    Kind('VirTex decoding', _has('/beam/', '/nucleus_sampling/'), virtex_decoding.check_decoding),
    Kind('VirTex vocabulary', _has('/corpus_file', '/encode/ids'), virtex_text.check_vocabulary),
    Kind('VirTex vocabulary of COCO', _has('/sha256_of_all_ids', '/encode/ids'), virtex_text.check_coco),
    Kind('VirTex datasets', _has('/captioning_items/', '/masked_lm_examples/'), virtex_data.check_data),
    Kind('VirTex images', _has('/jpeg/', '/jitter/input'), virtex_images.check_arrays),
    Kind('VirTex image settings', _has('/pinned_crop/', '/jitter_rules'), virtex_images.check_record),
    Kind('VirTex optimizer', _has('/toy/', '/params_after'), virtex_optimizer.check_steps),
    Kind('VirTex learning rates', _has('/toy/', '/lr_schedules/'), virtex_optimizer.check_record),
    Kind('VirTex metrics', _has('/tokenize_examples', '/CIDEr'), virtex_metrics.check_metrics),
    Kind('VirTex features for VOC07', _has('/voc_features_train', '/voc_labels_test'), virtex_metrics.check_features),
    *(Kind(*kind) for kind in pair_tasks.KINDS),
    Kind('image-text retrieval', retrieval.is_retrieval, retrieval.check_retrieval),
    Kind('remarks', _has('/note', 'rerun_2_threads'), soho_notes.check_notes),
]


def check_file(path: str, vocab: str | None = None, annotations: Sequence[str] = ()) -> Fixture:
    """Compare every recorded value of a file with ours.

    Args:
        path: npz or json.
        vocab: A BERT vocabulary for files of tokenisation.
        annotations: Folders of the official files of NLVR2 and NLVR, which are looked up near the file otherwise.

    Returns:
        The fixture with its ``title`` and ``rows``.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Its contents are of no known kind, or lack something that
            their kind must have.
    """
    fixture = Fixture(path, vocab, annotations)
    kind = next((kind for kind in KINDS if kind.matches(fixture)), None)
    if kind is None:
        raise UserError(f'{path} is of no known kind; it begins with {", ".join(list(fixture.values)[:4])}')
    fixture.title = kind.title
    try:
        kind.check(fixture)
    except KeyError as error:
        raise UserError(f'{path} looks like {kind.title}, but lacks {error}') from error
    fixture.close()
    return fixture
