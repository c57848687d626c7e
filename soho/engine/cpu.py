"""Matrix products on a CPU."""

import torch


def use_onednn_products() -> bool:
    """Let oneDNN compute float32 matrix products on the CPU where it is as exact as MKL.

    torch gives them to MKL, which on AMD processors keeps away from the
    widest instructions: on an EPYC of 2025 it reaches 225 GFLOP/s on two cores,
    oneDNN 500. torch's only way to oneDNN is to allow bfloat16 inside of
    float32 products. oneDNN makes use of that where a processor has units for
    it (AMX); so one product is computed, and the permission withdrawn if it
    was used.

    Returns:
        Whether oneDNN is used from here on.
    """
    if not torch.backends.mkldnn.is_available():
        return False
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(512, 512, generator=generator) for _ in range(2))
    torch.set_float32_matmul_precision('medium')
    error = (a @ b - a.double() @ b.double()).abs().max()
    exact = bool(error < 1e-3)  # float32: 1e-4; bfloat16: 0.3
    if not exact:
        torch.set_float32_matmul_precision('highest')
    return exact
