"""The model, as it is in your repository already: inside or outside of a ring."""

import torch


class Net(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Linear(2, 128), torch.nn.ReLU(), torch.nn.Linear(128, 2))


def points(seed, n=1000):
    x = torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
    return x, (x.norm(dim=1) > 1.2).long()
