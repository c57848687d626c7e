"""How much of a visual dictionary is in use, in the log."""

from typing import Any

import torch
from mmengine.hooks import Hook, LoggerHook

from soho.engine.distributed import unwrap_model
from soho.models.necks.visual_dictionary import VisualDictionary
from soho.registry import HOOKS


@HOOKS.register_module()
class DictionaryUsageHook(Hook):
    """Tells the log, by the dictionary's moving counts, how many words are in use.

    - ``dictionary_used_words``: words that features are assigned to;
    - ``dictionary_dead_words``: the others;
    - ``dictionary_perplexity``: as many words, used equally often, would tell as much; 1 tells nothing.

    Args:
        interval: Iterations; by default as often as the logger prints.
    """

    def __init__(self, interval: int | None = None) -> None:
        self.interval: Any = interval  # an int from `before_train` on
        self._warned = False

    def before_train(self, runner) -> None:
        if self.interval is None:
            self.interval = min((hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)), default=50)
        modules = unwrap_model(runner.model).modules()
        self.dictionaries = [module for module in modules if isinstance(module, VisualDictionary)]

    def after_train_iter(
        self, runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        if not self.dictionaries or not self.every_n_inner_iters(batch_idx, self.interval):
            return
        usage = torch.stack([dictionary_usage(dictionary) for dictionary in self.dictionaries]).tolist()
        for number, (used, perplexity) in enumerate(usage):
            name = 'train/dictionary' if number == 0 else f'train/dictionary_{number + 1}'
            words = self.dictionaries[number].num_words
            for key, value in dict(used_words=used, dead_words=words - used, perplexity=perplexity).items():
                runner.message_hub.update_scalar(f'{name}_{key}', value)
            if perplexity < 2 and not self._warned:
                self._warned = True
                runner.logger.warning(
                    f'the visual dictionary has collapsed: of {words} words {used:.0f} are in use, which tell no more '
                    f"than {perplexity:.2f} would; unused_words='restart' revives the others"
                )


@torch.no_grad()
def dictionary_usage(dictionary: VisualDictionary) -> torch.Tensor:
    """(2,) float32 on the device: number of used words, and perplexity of the assignment."""
    counts = dictionary.cluster_size
    share = counts / counts.sum().clamp(min=1e-12)
    # A hundredth of an equal share: a moving count never comes to zero by itself.
    used = (share > 0.01 / len(share)).sum()
    return torch.stack([used.float(), torch.special.entr(share).sum().exp()])
