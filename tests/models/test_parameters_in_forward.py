"""No parameter is used outside the forward of its module or of one that holds it: FSDP and export rely on that."""

import pytest
import torch


def hide_parameters(model):
    """Make the parameters of every module NaN except while its forward, or that of a module above it, runs."""
    depth = {}
    values = {id(p): p.detach().clone() for p in model.parameters()}

    def show(module, *_):
        for child in module.modules():
            depth[child] = depth.get(child, 0) + 1
            for parameter in child.parameters(recurse=False):
                parameter.data.copy_(values[id(parameter)])

    def hide(module, *_):
        for child in module.modules():
            depth[child] -= 1
            for parameter in child.parameters(recurse=False):
                if not any(n and parameter in set(m.parameters(recurse=False)) for m, n in depth.items()):
                    parameter.data.fill_(float('nan'))

    for module in model.modules():
        if module is not model:
            module.register_forward_pre_hook(show)
            module.register_forward_hook(hide)
    for parameter in model.parameters():
        parameter.data.fill_(float('nan'))


@pytest.mark.parametrize('task', ['pretrain', 'vqa', 'bicaptioning', 'masked_lm', 'classification'])
def test_parameters_are_used_in_forward_alone(
    task, make_model, make_virtex, make_batch, make_caption_batch, preprocess
):
    soho = task in ('pretrain', 'vqa')
    model = make_model(task) if soho else make_virtex(task)
    batch = preprocess(model, make_batch() if soho else make_caption_batch())
    with torch.no_grad():
        expected = model(mode='loss', **batch), model(mode='predict', **batch)
        hide_parameters(model)
        actual = model(mode='loss', **batch), model(mode='predict', **batch)
    torch.testing.assert_close(actual, expected)
