"""Official VQA normalisation of answers, with its known bugs.

Two answers are the same if they are equal after :func:`normalize_answer`.
The word lists below are those of the official evaluation code (GT-Vision-Lab/VQA,
PythonEvaluationTools/vqaEvaluation/vqaEval.py), whose licence follows.
"""

# Copyright (c) 2014, Aishwarya Agrawal
# All rights reserved.
#
# Redistribution and use in source and binary forms, with or without
# modification, are permitted provided that the following conditions are met:
#
# 1. Redistributions of source code must retain the above copyright notice, this
#    list of conditions and the following disclaimer.
# 2. Redistributions in binary form must reproduce the above copyright notice,
#    this list of conditions and the following disclaimer in the documentation
#    and/or other materials provided with the distribution.
#
# THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS"
# AND
# ANY EXPRESS OR IMPLIED WARRANTIES, INCLUDING, BUT NOT LIMITED TO, THE IMPLIED
# WARRANTIES OF MERCHANTABILITY AND FITNESS FOR A PARTICULAR PURPOSE ARE
# DISCLAIMED. IN NO EVENT SHALL THE COPYRIGHT OWNER OR CONTRIBUTORS BE LIABLE
# FOR
# ANY DIRECT, INDIRECT, INCIDENTAL, SPECIAL, EXEMPLARY, OR CONSEQUENTIAL DAMAGES
# (INCLUDING, BUT NOT LIMITED TO, PROCUREMENT OF SUBSTITUTE GOODS OR SERVICES;
# LOSS OF USE, DATA, OR PROFITS; OR BUSINESS INTERRUPTION) HOWEVER CAUSED AND
# ON ANY THEORY OF LIABILITY, WHETHER IN CONTRACT, STRICT LIABILITY, OR TORT
# (INCLUDING NEGLIGENCE OR OTHERWISE) ARISING IN ANY WAY OUT OF THE USE OF THIS
# SOFTWARE, EVEN IF ADVISED OF THE POSSIBILITY OF SUCH DAMAGE.
#
# The views and conclusions contained in the software and documentation are
# those
# of the authors and should not be interpreted as representing official
# policies,
# either expressed or implied, of the FreeBSD Project.
import re
from functools import lru_cache

# Known bugs of the official list are kept ("somebody'd" loses its apostrophe; entries with a capital
# never match, because words are lower-cased first).
CONTRACTIONS: dict[str, str] = {
    word: written
    for word, _, written in (
        pair.partition(':')
        for pair in """
    aint:ain't arent:aren't cant:can't couldve:could've couldnt:couldn't couldn'tve:couldn't've
    couldnt've:couldn't've didnt:didn't doesnt:doesn't dont:don't hadnt:hadn't hadnt've:hadn't've
    hadn'tve:hadn't've hasnt:hasn't havent:haven't hed:he'd hed've:he'd've he'dve:he'd've hes:he's
    howd:how'd howll:how'll hows:how's Id've:I'd've I'dve:I'd've Im:I'm Ive:I've isnt:isn't itd:it'd
    itd've:it'd've it'dve:it'd've itll:it'll let's:let's maam:ma'am mightnt:mightn't
    mightnt've:mightn't've mightn'tve:mightn't've mightve:might've mustnt:mustn't mustve:must've
    neednt:needn't notve:not've oclock:o'clock oughtnt:oughtn't ow's'at:'ow's'at 'ows'at:'ow's'at
    'ow'sat:'ow's'at shant:shan't shed've:she'd've she'dve:she'd've she's:she's shouldve:should've
    shouldnt:shouldn't shouldnt've:shouldn't've shouldn'tve:shouldn't've somebody'd:somebodyd
    somebodyd've:somebody'd've somebody'dve:somebody'd've somebodyll:somebody'll somebodys:somebody's
    someoned:someone'd someoned've:someone'd've someone'dve:someone'd've someonell:someone'll
    someones:someone's somethingd:something'd somethingd've:something'd've something'dve:something'd've
    somethingll:something'll thats:that's thered:there'd thered've:there'd've there'dve:there'd've
    therere:there're theres:there's theyd:they'd theyd've:they'd've they'dve:they'd've theyll:they'll
    theyre:they're theyve:they've twas:'twas wasnt:wasn't wed've:we'd've we'dve:we'd've weve:we've
    werent:weren't whatll:what'll whatre:what're whats:what's whatve:what've whens:when's whered:where'd
    wheres:where's whereve:where've whod:who'd whod've:who'd've who'dve:who'd've wholl:who'll whos:who's
    whove:who've whyll:why'll whyre:why're whys:why's wont:won't wouldve:would've wouldnt:wouldn't
    wouldnt've:wouldn't've wouldn'tve:wouldn't've yall:y'all yall'll:y'all'll y'allll:y'all'll
    yall'd've:y'all'd've y'alld've:y'all'd've y'all'dve:y'all'd've youd:you'd youd've:you'd've
    you'dve:you'd've youll:you'll youre:you're youve:you've
""".split()
    )
}
NUMBER_WORDS: dict[str, str] = dict(
    zip('none zero one two three four five six seven eight nine ten'.split(), '0 0 1 2 3 4 5 6 7 8 9 10'.split())
)
ARTICLES = {'a', 'an', 'the'}
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'

_COMMA_IN_NUMBER = re.compile(r'(\d)(\,)(\d)')
# The look-behind of the official expression is misspelt and always matches, so it is left out:
# a period is removed unless a digit follows it.
_PERIOD = re.compile(r'\.(?!\d)')
# Known bug of the official code: it passes re.UNICODE as the number of replacements of re.sub.
_MOST_PERIODS = int(re.UNICODE)


def strip_punctuation(text: str) -> str:
    """Delete punctuation or replace it by spaces (official ``processPunctuation``).

    All occurrences of a mark are deleted if one of them is next to a space,
    or if ``text`` has a comma between digits; otherwise they become spaces.
    Apostrophes, colons and decimal points are kept.
    """
    number = _COMMA_IN_NUMBER.search(text) is not None
    result = text
    for mark in PUNCTUATION:
        beside_space = mark + ' ' in text or ' ' + mark in text
        result = result.replace(mark, '' if beside_space or number else ' ')
    return _PERIOD.sub('', result, count=_MOST_PERIODS)


def unify_words(text: str) -> str:
    """Text in lower case, with digits for number words, without articles (official ``processDigitArticle``)."""
    words = [NUMBER_WORDS.get(word, word) for word in text.lower().split()]
    return ' '.join(CONTRACTIONS.get(word, word) for word in words if word not in ARTICLES)


@lru_cache(maxsize=1 << 18)
def normalize_answer(answer: str) -> str:
    """Answer after :func:`clean_answer`, :func:`strip_punctuation` and :func:`unify_words`.

    >>> normalize_answer('The T-shirt, and two dogs.')
    't shirt and 2 dogs'
    """
    return unify_words(strip_punctuation(clean_answer(answer)))


def clean_answer(answer: str) -> str:
    """Answer without line breaks, tabs and surrounding space; applied even where all annotators agree."""
    return answer.replace('\n', ' ').replace('\t', ' ').strip()
