"""tools/analysis/browse_dataset.py, and the words in which a batch is shown."""

import numpy as np
import pytest

from soho.datasets.batch import FIELDS
from soho.visualization.batch_view import BatchReader, cover_cells, draw_boxes
from soho.visualization.masked_cells import find_masked_cells


class Pieces:
    """A tokenizer whose pieces are p0, p1, ..."""

    class backend:
        id_to_token = staticmethod(lambda token: f'p{token}')


def facts(batch, **metainfo):
    return [dict(view.facts) for view in BatchReader(Pieces(), metainfo).read(batch)]


def test_pretraining_in_words():
    (first,) = facts(
        dict(
            input_ids=np.array([[[1, 4, 2, 0], [1, 5, 2, 0]]]),
            attention_mask=np.array([[[1, 1, 1, 0], [1, 1, 1, 0]]]),
            sentence_mask=np.array([[True, False]]),
            mlm_labels=np.array([[[-100, 7, -100, -100], [-100] * 4]]),
            itm_labels=np.array([[1, 0]]),
            mvm_cell=np.array([0.25], np.float32),
            mvm_sentences=np.array([[False, True]]),
        )
    )
    assert first['input_ids'] == 'p1 p4 p2\n(no sentence)'
    assert first['mlm_labels'] == 'p7 (token 1)\n(none)'
    assert first['itm_labels'] == 'of this image\nof another image'
    assert first['mvm_cell'] == 'at 25 % of the valid cells, for sentence 1'


def test_answers_labels_and_boxes_by_name():
    answers, _ = facts(
        dict(answer_labels=np.array([[[1, -1]], [[-1, -1]]]), answer_scores=np.array([[[0.6, 0.0]], [[0.0, 0.0]]])),
        class_names=['no', 'yes'],
    )
    assert answers['answer_labels'] == 'yes (0.6)'
    labels, unknown = facts(dict(attribute_labels=np.array([[1], [-1]])), label_names=dict(color=['red', 'blue']))
    assert labels['attribute_labels'] == 'color: blue' and unknown['attribute_labels'] == 'color: (not known)'
    (boxes,) = facts(dict(boxes=np.ones((1, 2, 4)), box_labels=np.array([[2, 0]])), class_names=['cat', 'dog'])
    assert boxes['box_labels'] == 'dog at 1, 1, 1, 1'


def test_an_unknown_word_within_a_caption_is_no_padding():
    (first,) = facts(dict(caption_tokens=np.array([[1, 0, 2, 0, 0]])))
    assert first['caption_tokens'] == 'p1 p0 p2'


def test_images_of_a_pair_stay_together():
    images = np.zeros((4, 3, 8, 8), np.uint8)
    views = BatchReader(None, {}).read(dict(image=images, image_id=np.array([5, 6]), input_ids=np.ones((2, 1, 3), int)))
    assert [len(view.pictures) for view in views] == [2, 2]
    assert dict(views[1].facts) == dict(image_id='6', input_ids='1 1 1')


def test_every_field_of_the_table_is_shown_or_told_with_another():
    sizes = dict.fromkeys(('B', 'B*M'), 1) | dict(H=8, W=8)
    batch = {
        name: np.ones([side if isinstance(side, int) else sizes.get(side, 2) for side in field.shape], field.dtype)
        for name, field in FIELDS.items()
    }
    reader = BatchReader(Pieces(), {})
    (view,) = reader.read(batch)
    assert {name for name, _ in view.facts} == set(FIELDS) - reader.told | {'mvm_cell'}
    assert len(view.pictures) == 1


def test_boxes_are_drawn_on_a_copy():
    image = np.zeros((8, 8, 3), np.uint8)
    drawn = draw_boxes(image, dict(boxes=np.array([[1.0, 1, 5, 5], [2, 2, 3, 3]]), box_labels=np.array([1, 0])))
    assert drawn[1, 3].any() and not drawn[2, 2].any() and not image.any()


def test_masked_cells_are_covered():
    image = np.full((1, 3, 8, 12), 200, np.uint8)
    cells = np.zeros((2, 3), bool)
    cells[1, 2] = True
    covered = cover_cells(image[0].transpose(1, 2, 0), cells)
    changed = (covered != 200).any(2)
    assert changed[4:, 8:].all() and changed.sum() == 16 and (image == 200).all()
    batch = dict(image=image, mvm_cell=np.array([0.9], np.float32), mvm_sentences=np.array([[False, True]]))
    (view,) = BatchReader(None, {}).read(batch, [cells])
    assert dict(view.facts)['mvm_cell'] == 'at 90 % of the valid cells (covered: 1 of 6), for sentence 1'


def test_the_model_says_which_cells_are_masked(make_model, make_batch):
    model, batch = make_model(), make_batch()
    batch['mvm_sentences'][1] = False
    visual = model.encode_image(*(model.data_preprocessor(dict(batch))[name] for name in ('image', 'image_size')))
    for trained in (False, True):
        masked = find_masked_cells(model, dict(batch), trained)
        assert len(masked) == 3 and not masked[1].any()
        for row in (0, 2):
            words = visual.words[row].numpy()
            chosen = masked[row].ravel()
            assert len(set(words[chosen])) == 1 and visual.valid[row].numpy()[chosen].all()
            same = (words == words[chosen][0]) & visual.valid[row].numpy()
            assert (chosen == same).all() if trained else chosen.sum() == 1


def test_page_of_the_tiny_data_set(load_tool, synthetic, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('SOHO_SYNTHETIC', str(synthetic))
    tool = load_tool('analysis/browse_dataset')
    out = tmp_path / 'browse.html'
    tool.main(['configs/demo/pretrain.py', '--number', '3', '--out', str(out)])
    page = out.read_text(encoding='utf-8')
    assert page.count('<article>') == 3 and '[CLS]' in page and 'mlm_labels' in page
    assert page.count('(covered: 1 of ') == page.count('of the valid cells') - page.count('for no sentence')
    tool.main(['configs/demo/pretrain.py', '--number', '3', '--out', str(out)])
    assert out.read_text(encoding='utf-8') == page
    assert 'src="http' not in page and 'href=' not in page  # nothing from elsewhere
    with pytest.raises(SystemExit, match='--number 0'):
        tool.main(['configs/demo/pretrain.py', '--number', '0', '--out', str(out)])
