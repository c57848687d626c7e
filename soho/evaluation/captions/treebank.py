"""Penn Treebank tokenisation of captions, as in the official COCO evaluation.

The official evaluation joins all captions to one text with a caption per line,
tokenises it by the treebank's conventions, lower-cases it and removes
punctuation. The rules below were written from the conventions and from pairs
of captions and tokens; the result equals the official tokens on all 25,014
captions of val2017 and on the 6,005 of the official example.
"""

import re
from collections.abc import Sequence

# The official list of removed tokens. Brackets are kept: the list has them in upper case, but text is lower-cased.
PUNCTUATION = frozenset(["''", "'", '``', '`', '.', '?', '!', ',', ':', '-', '--', '...', ';'])
_BRACKETS = {'(': '-lrb-', ')': '-rrb-', '[': '-lsb-', ']': '-rsb-', '{': '-lcb-', '}': '-rcb-'}
_PLAIN = str.maketrans(
    {
        **dict.fromkeys('\u2018\u2019\u201b', "'"),
        **dict.fromkeys('\u201c\u201d\u201e\u00ab\u00bb', '"'),
        **dict.fromkeys('\u2013\u2014\u2015', '--'),
        '\u2026': '...',
        '\u00bc': ' 1/4',
        '\u00bd': ' 1/2',
        '\u00be': ' 3/4',
        '\u00a3': '#',
        '\u20ac': '$',
        '\u00a0': ' ',
    }
)

# Abbreviations that keep their period, in upper or lower case.
_ABBREVIATIONS = """
    mr mrs ms messrs dr prof rev hon gen col maj capt cmdr lt sgt gov sen jr sr ph\\.d esq
    st ste ave av blvd rd hwy pkwy ft mt inc corp co cos ltd bros assn dept univ etc vs viz cf al est approx
    jan feb apr aug sept oct nov dec mon tues thurs fri"""
# Abbreviations only with a capital, words otherwise: "in Wash.", "in the wash ."
_CAPITAL_ABBREVIATIONS = """
    Ala Ariz Ark Calif Cal Colo Conn Del Fla Ga Ill Ind Kan Ky La Mass Md Mich Minn Miss Mo Mont Neb Nev Okla Ore
    Pa Penn Tenn Tex Va Vt Wash Wis Wyo KY Mar Jul Jun Wed Thu Tue Sat"""
# An initial before one of these ends a sentence: "12th Ave S. A boy" against "W. Centre St."
_STARTERS = """
    A An I The This That These Those There Here It Its He She We They You His Her Their Our My Some Many Several One
    In On At By From With For As After Before While When Where What Who How If And But Or So No Not"""


def _any_of(words: str) -> str:
    return '|'.join(words.split())


_LETTER, _PIECE = r'[^\W\d_]', r'[^\W_]+'
_ENDS = r'(?![^\W_])'
_CLITIC = r"'(?:s|m|d|re|ve|ll)"
_TOKEN = re.compile(
    rf"""
    https?://[^\s"'<>]+ | www\.[^\s"'<>]+ | [\w.+-]+@{_PIECE}(?:[.-]{_PIECE})+      # addresses
    | \d+\s\d{{1,2}}/\d{{1,2}}\b                                                    # 22 3/4
    | (?<!\S)[-+]?\d+(?:[.,:]\d+)+(?:-{_PIECE})* | \d+(?:[.,:]\d+)+(?:-{_PIECE})*    # 1,000 10:30 2.5-inch
    | (?<!\S)[-+]?\.\d+ | (?<!\S)[-+]\d+{_ENDS}
    | (?:{_LETTER}\.){{2,}}(?:-{_PIECE})*{_ENDS}                                    # U.S. p.m.
    | (?i:{_any_of(_ABBREVIATIONS)})\.{_ENDS} | (?:{_any_of(_CAPITAL_ABBREVIATIONS)})\.{_ENDS}
    | (?i:nos?|figs?|vols?|pp?)\.(?=\s*\d)                                           # no. 5
    | {_LETTER}\.{_ENDS}(?!\s+(?:{_any_of(_STARTERS)})\b)                            # initials
    | {_PIECE}\.(?=,)                        # a period inside of a sentence ends an abbreviation
    | [A-Z]{{1,2}}\$ | [#@]{_LETTER}\w*                                              # US$ #tag @name
    | {_CLITIC}{_ENDS} | '\d\ds?{_ENDS} | '(?i:em|til|n|cause|tis|twas){_ENDS}
    | [A-Z]+(?:&[A-Z]+)+{_ENDS} | &amp;
    | {_PIECE}(?:(?:[-_/.]|(?<={_LETTER})'(?={_LETTER})){_PIECE})*                     # words and their compounds
    | --+ | \.\.+ | [?!]{{2,}} | [^\s\w] | _+
    """,
    re.VERBOSE,
)
_NEGATION = re.compile(rf"(.*{_LETTER})(n't)", re.IGNORECASE | re.DOTALL)
_POSSESSIVE = re.compile(rf'(.+)({_CLITIC})', re.IGNORECASE | re.DOTALL)
_MERGED = {
    word.replace(' ', ''): word.split()
    for word in ('can not', 'gon na', 'got ta', 'wan na', 'lem me', 'gim me', "d' ye", "more 'n", "'t is", "'t was")
}
_LINE_BREAKS = re.compile(r'\r\n|[\n\r\v\f\x85\u2028\u2029]')


def tokenize(captions: Sequence[str]) -> list[str]:
    """Tokens of each caption, joined by spaces; lower case, without punctuation.

    As in the official evaluation, whether an initial at the end of a caption
    keeps its period depends on the beginning of the next caption: pass the
    whole list at once. A mixed fraction ("22 3/4") is one token with a
    no-break space.

    Args:
        captions: N texts.

    Returns:
        N texts.
    """
    text = '\n'.join(_LINE_BREAKS.sub(' ', caption) for caption in captions).translate(_PLAIN)
    # Tokens contain no line break, but the rule for initials reads past it.
    lines: list[list[str]] = [[]]
    end = 0
    for match in _TOKEN.finditer(text):
        for _ in range(text.count('\n', end, match.start())):
            lines.append([])
        end = match.end()
        lines[-1] += [token for token in _parts(match.group()) if token not in PUNCTUATION]
    lines += [[] for _ in range(text.count('\n', end))]
    return [' '.join(line) for line in lines[: len(captions)]]


def _parts(token: str) -> list[str]:
    """Lower-cased tokens of a match: contractions are split, symbols get the treebank's names."""
    token = token.lower()
    if token in _MERGED:
        return list(_MERGED[token])
    if token in _BRACKETS:
        return [_BRACKETS[token]]
    if token == '"':
        return ["''"]
    if token == '&amp;':
        return ['&']
    if token[0] in '.-' and set(token) <= {token[0]}:
        return ['...' if token[0] == '.' and len(token) > 1 else '--' if len(token) > 1 else token]
    for pattern in (_NEGATION, _POSSESSIVE):
        match = pattern.fullmatch(token)
        if match:
            return [*_parts(match[1]), match[2]]
    return [re.sub(r'\s', '\u00a0', token)]
