"""Average the saved logits of several models, and write and score their answers.

    python tools/test.py CONFIG_A CHECKPOINT_A --dump a.npz        # and so on, on the same questions
    python tools/analysis/ensemble.py a.npz b.npz --answers data/coco/val_data_vqa.json --out answers.json
        [--weights 2 1] [--annotations data/coco/v2_mscoco_val2014_annotations.json] [--dump mean.npz]

``--answers`` is the annotation file of the data set, which holds the answer list. ``--out`` is in the form of
EvalAI's, ``--dump`` in that of its inputs, for another ensemble or ``calibrate.py``. Of GQA, ``--annotations`` is the
official file of the questions that were asked: ``--out`` is then in the form of GQA's server, and the accuracy that of
the balanced ones (``submission_all_questions.json`` has no answers, and gives none):

    python tools/analysis/ensemble.py a.npz b.npz --answers data/gqa/testdev_data_gqa.json --out submission.json
        --annotations data/gqa/testdev_balanced_questions.json
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from soho.datasets.storage.json_files import write_json
from soho.datasets.vqa import load_answer_list
from soho.errors import UserError, exit_on_user_error
from soho.evaluation.gqa import write_submission
from soho.evaluation.logits import Truth, answer_confidence, average_logits, load_logits, read_truth, score_logits
from soho.files import atomic_write


def write_answers(path: Path, answers: dict[int, str], truth: Truth) -> None:
    """Write answers by question in the form of EvalAI, or of GQA's server.

    Raises:
        UserError: A question is not in the file of GQA's.
    """
    if truth.names is None:
        write_json(path, [dict(question_id=number, answer=answer) for number, answer in answers.items()])
        return
    if unknown := answers.keys() - truth.names.keys():
        raise UserError(f'question {min(unknown)}, of which there are logits, is not in the annotations')
    write_submission(path, {name: answers[number] for number, name in truth.names.items() if number in answers})


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('dumps', nargs='+', metavar='DUMP.npz', help='saved logits, one file a model')
    parser.add_argument('--answers', type=Path, required=True, metavar='FILE', help='annotation file: the answer list')
    parser.add_argument('--weights', type=float, nargs='+', metavar='W', help='one a model (default: equal)')
    parser.add_argument('--out', type=Path, metavar='FILE.json', help='write the answers in the form of the server')
    parser.add_argument('--dump', type=Path, metavar='FILE.npz', help='write the mean logits')
    parser.add_argument(
        '--annotations', type=Path, metavar='FILE', help='annotations of VQA, or questions of GQA: print the accuracy'
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    with exit_on_user_error():
        answers = load_answer_list(args.answers)
        dumps = {path: load_logits(path) for path in args.dumps}
        if len(dumps) < len(args.dumps):
            raise UserError('a dump is named twice')
        mean = average_logits(dumps, args.weights)
        if len(answers) != mean.logits.shape[1]:
            raise UserError(
                f'{args.answers} has a list of {len(answers)} answers, but the logits are of {mean.logits.shape[1]}'
            )
        labels = mean.logits.argmax(1).tolist()
        truth = read_truth(args.annotations) if args.annotations else Truth({})
        if args.out:
            write_answers(args.out, dict(zip(mean.question_id.tolist(), (answers[label] for label in labels))), truth)
        if args.dump:
            with atomic_write(args.dump) as file:
                np.savez(
                    file,
                    question_id=mean.question_id,
                    label=np.array(labels),
                    confidence=answer_confidence(mean, 1.0),
                    logits=mean.logits,
                )
        print(f'{len(dumps)} models, {len(labels)} questions')
        if truth.answers:
            for name, saved in {**dumps, 'mean': mean}.items():
                print(f'{100 * score_logits(truth.select(saved), answers, truth.answers).mean():6.2f}  {name}')


if __name__ == '__main__':
    main()
