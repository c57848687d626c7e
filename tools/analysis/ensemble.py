"""Average the saved logits of several models, and write and score their answers.

    python tools/test.py CONFIG_A CHECKPOINT_A --dump a.npz        # and so on, on the same questions
    python tools/analysis/ensemble.py a.npz b.npz --answers data/coco/val_data_vqa.json --out answers.json
        [--weights 2 1] [--annotations data/coco/v2_mscoco_val2014_annotations.json] [--dump mean.npz]

``--answers`` is the annotation file of the data set, which holds the answer list. ``--out`` is in the form of
EvalAI's, ``--dump`` in that of its inputs, for another ensemble or ``calibrate.py``. Of GQA ``--annotations`` is the
official file of questions, such as ``submission_all_questions.json``, and ``--out`` then in the form of its server.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from soho.datasets.storage.json_files import write_json
from soho.datasets.vqa import load_answer_list
from soho.errors import UserError, exit_on_user_error
from soho.evaluation.logits import (
    Questions,
    answer_confidence,
    average_logits,
    load_logits,
    load_questions,
    score_logits,
)
from soho.files import atomic_write


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('dumps', nargs='+', metavar='DUMP.npz', help='saved logits, one file a model')
    parser.add_argument('--answers', type=Path, required=True, metavar='FILE', help='annotation file: the answer list')
    parser.add_argument('--weights', type=float, nargs='+', metavar='W', help='one a model (default: equal)')
    parser.add_argument('--out', type=Path, metavar='FILE.json', help='write the answers in the form of the server')
    parser.add_argument('--dump', type=Path, metavar='FILE.npz', help='write the mean logits')
    parser.add_argument(
        '--annotations', type=Path, metavar='FILE', help='VQA annotations or GQA questions: print the accuracy'
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
        questions = load_questions(args.annotations) if args.annotations else Questions({}, None)
        if args.out:
            predicted = {number: answers[label] for number, label in zip(mean.question_id.tolist(), labels)}
            write_json(args.out, questions.to_submission(predicted))
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
        if questions.truth:  # which are not public of GQA's questions for the server
            for name, saved in {**dumps, 'mean': mean}.items():
                print(f'{100 * score_logits(saved, answers, questions.truth).mean():6.2f}  {name}')


if __name__ == '__main__':
    main()
