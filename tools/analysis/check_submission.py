"""Check a file of predictions before it goes to the server of its task.

    python tools/analysis/check_submission.py answers.json --reference v2_OpenEnded_mscoco_test2015_questions.json

VQA v2 (json for EvalAI), GQA (json) and NLVR2 (csv) are told apart by their contents. The reference is the official
file of the split: questions, or the examples of NLVR2. Without it format and repeats are checked, and of VQA that all
447,793 questions of test2015 are answered, which EvalAI demands for test-dev too. Empty answers are counted.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from soho.datasets.storage.json_files import stream_array
from soho.errors import UserError, exit_on_user_error, quote
from soho.evaluation import gqa, statements, vqa
from soho.files import iterate_lines

CHECKS = dict(VQA=vqa.check_submission, GQA=gqa.check_submission, NLVR2=statements.check_submission)


def find_task(path: Path) -> str:
    """Return the name of the task that a file is for.

    Raises:
        FileNotFoundError: There is no such file.
        UserError: It is not UTF-8 text, or its first item names no question.
    """
    start = next(filter(None, map(str.strip, iterate_lines(path))), '')
    if not start.startswith(('[', '{')):
        return 'NLVR2'
    first = next(stream_array(path), None)
    if not isinstance(first, dict) or not {'question_id', 'questionId'} & first.keys():
        raise UserError(
            f'{path} begins with {quote(first)}; VQA has objects with question_id and answer, GQA with questionId and '
            'prediction'
        )
    return 'VQA' if 'question_id' in first else 'GQA'


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('file', type=Path)
    parser.add_argument('--reference', type=Path, metavar='FILE', help='official questions or examples of the split')
    args = parser.parse_args(argv)
    with exit_on_user_error():
        task = find_task(args.file)
        found = CHECKS[task](args.file, args.reference)
    compared = f'all of {args.reference}' if args.reference else 'not compared with the questions'
    empty = f'; {found.empty} of them are empty' if found.empty else ''
    print(f'{args.file}: {found.predictions} predictions for {task}, {compared}{empty}')


if __name__ == '__main__':
    main()
