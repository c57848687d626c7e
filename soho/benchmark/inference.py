"""Answers: how long one takes, and how many a second."""
import torch

from soho.benchmark.bench import Bench, Rows
from soho.benchmark.recipes import build, random_batch


@torch.inference_mode()
def inference(bench: Bench) -> Rows:
    """Answers, one question a picture."""
    model, _ = build(bench, 'vqa')
    model.eval()
    rows = []
    for images in (1, *bench.args.batches):
        batch = random_batch('vqa', images, 1, bench.args.size, model.language.config.vocab_size,
                             model.heads['vqa'].num_answers)

        def answer(batch: dict[str, torch.Tensor] = batch) -> None:
            with bench.autocast():
                model(mode='predict', **model.data_preprocessor(batch))

        seconds = bench.seconds(answer)
        name = f'vqa inference at {bench.args.size[0]}x{bench.args.size[1]}, batch {images}'
        rows += [(f'{name}: latency', 1000 * seconds, 'ms'), (f'{name}: answers', images / seconds, '1/s')]
    return rows
