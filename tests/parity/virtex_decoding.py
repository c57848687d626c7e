"""Beam search and nucleus sampling over tables in place of a language model."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from soho.models.decoding.beam_search import BeamSearch
from soho.models.decoding.decode_step import State
from soho.models.decoding.nucleus_sampling import REMOVED, NucleusSampling
from tests.parity.fixture import Fixture

LOGPROB = 1e-5
PROBABILITY = 1e-6


class Tables:
    """Logits from the tokens so far: sums of entries for the last, the position, the image and all before.

    It remembers what it was asked.
    """

    def __init__(self, fixture: Fixture, name: str) -> None:
        values = {part: fixture[f'tables/{name}/{part}'] for part in ('last', 'position', 'item', 'history')}
        for part, value in values.items():
            setattr(self, part, torch.tensor(np.array(value, np.float64)))
        self.prefixes: list[Tensor] = []

    def __call__(self, tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        prefix = tokens[:, None] if state is None else torch.cat([state[0], tokens[:, None]], dim=1)  # (R, t)
        self.prefixes.append(prefix)
        items = torch.arange(len(prefix)) // (len(prefix) // len(self.item))
        logits = self.last[tokens] + self.position[prefix.size(1)] + self.item[items]
        logits = logits + 0.5 * self.history[prefix[:, :-1]].sum(1)
        return logits.float(), [prefix]

    def start(self, token: int) -> Tensor:
        return torch.full((len(self.item),), token)


class OfficialDraws(NucleusSampling):
    """As officially every image of the batch in turn draws from torch's one generator."""

    def numbers(self, image_id: Tensor) -> Tensor:
        self.generator = torch.Generator().manual_seed(self.seed)
        return super().numbers(image_id)

    def sample(self, probabilities: Tensor, number: Tensor) -> Tensor:
        return probabilities.multinomial(1, generator=self.generator).squeeze(1)


def check_decoding(fixture: Fixture) -> None:
    """``decoding.json``."""
    fixture.remark('language_model', 'first_step', 'important', 'nucleus', 'infinities')
    for case in dict.fromkeys(name.split('/')[1] for name in fixture.names('beam/')):
        _check_beam(fixture, f'beam/{case}/')
    for case in dict.fromkeys(name.split('/')[1] for name in fixture.names('nucleus_sampling/')):
        _check_nucleus(fixture, f'nucleus_sampling/{case}/')


def _check_beam(fixture: Fixture, case: str) -> None:
    fixture.remark(case + 'note')
    tables = Tables(fixture, fixture[case + 'table'])
    search = BeamSearch(
        beam_size=fixture[case + 'beam_size'],
        max_steps=fixture[case + 'max_steps'],
        per_node=fixture[case + 'per_node_beam_size'],
        drop_start=True,
        forbid_repeats=True,
        eos_id=fixture[case + 'eos'],
    )
    start = tables.start(fixture[case + 'start'])
    if case + 'error' in fixture:
        try:
            search.search(tables, start)
        except ValueError as error:
            fixture.check(case + 'error', fixture[case + 'error'], note=str(error))
        return
    tokens, scores = search.search(tables, start)
    asked = [prefix.tolist() for prefix in tables.prefixes]
    fixture.check(case + 'number_of_step_calls', len(asked))
    fixture.check(case + 'step_input_shapes', [list(prefix.shape) for prefix in tables.prefixes])
    fixture.check(case + 'first_step_inputs', asked[:3])
    fixture.check(case + 'logprobs', _finite(scores.numpy()), LOGPROB, recorded=_finite(fixture[case + 'logprobs']))
    # Which tokens stand on a beam of probability zero is not defined.
    certain = scores.isfinite()
    recorded = torch.tensor(fixture[case + 'predictions'])
    fixture.check(case + 'predictions', tokens[certain], recorded=recorded[certain])

    best_tokens, best_scores = search(tables, start)
    missing = recorded.size(-1) - best_tokens.size(1)  # the best is known before all beams have ended
    best_tokens = F.pad(best_tokens, (0, missing), value=search.eos_id)
    empty = search.beam_size == 1 and tokens.size(2) == 1 and bool((tokens == search.eos_id).all())
    early = '(..., 1): greedy decoding of empty captions returns one more dimension officially' if empty else ''
    for name, value in (('best_predictions', best_tokens), ('best_logprobs', best_scores)):
        fixture.check(case + name, value[..., None] if early else value, LOGPROB, note=early)
    fixture.check(
        case + 'warnings', empty + int(not certain.all()), recorded=len(fixture[case + 'warnings']), note='how many'
    )


def _finite(scores: np.ndarray | list) -> np.ndarray:
    """Minus infinity, also as text, as a number that can be compared."""
    return np.nan_to_num(np.array(scores, np.float64), neginf=-1e30)


def _check_nucleus(fixture: Fixture, case: str) -> None:
    fixture.remark(case + 'note')
    tables = Tables(fixture, fixture[case + 'table'])
    sampler = OfficialDraws(
        fixture[case + 'nucleus_size'],
        fixture[case + 'max_steps'],
        forbid_repeats=True,
        seed=fixture[case + 'torch_seed'],
    )
    start = tables.start(1)
    tokens, _ = sampler(tables, start, torch.arange(len(start)))
    fixture.check(case + 'predictions', tokens)
    fixture.check(case + 'steps/prefix', [prefix.tolist() for prefix in tables.prefixes])
    probabilities, allowed = [], []
    for prefix in map(torch.tensor, fixture[case + 'steps/prefix']):
        logits, _ = tables(prefix[:, -1], [prefix[:, :-1]])
        probabilities.append(sampler.probabilities(logits, prefix[:, -1]).tolist())
        nucleus = sampler.restrict(logits, prefix[:, -1]) > REMOVED / 2
        allowed.append([row.nonzero().flatten().tolist() for row in nucleus])
    fixture.check(case + 'steps/sampling_probabilities', probabilities, PROBABILITY)
    fixture.check(case + 'steps/allowed', allowed)
