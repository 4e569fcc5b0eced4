"""Trains the model that the benchmark measures, and writes weights.pt. Yours has its own way to them."""

import torch
from model import Net, points

x, y = points(seed=0)
torch.manual_seed(0)
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for _ in range(200):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()
torch.save(net.state_dict(), "weights.pt")
