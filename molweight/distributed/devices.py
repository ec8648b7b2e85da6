"""Where tensors live."""

from __future__ import annotations

import torch

from molweight.errors import ConfigError, option


def choose_device(name: str) -> torch.device:
    """``auto`` takes a GPU where there is one.

    Raises:
        ConfigError: an unknown device, or one that this machine does not have.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, ValueError) as error:
        first = str(error).splitlines()[0]
        raise ConfigError(
            f"{name} cannot be used here ({first})",
            option="device",
            hint=f"{option('device', 'cpu')} always can",
        ) from error
    return device
