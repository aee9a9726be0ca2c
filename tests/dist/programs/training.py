"""A few steps of training whose global batch does not depend on the number of ranks; leaves weights and losses."""

import sys

import numpy as np

import allgrad as torch
from allgrad import dist, nn
from allgrad.utils.data import DataLoader, TensorDataset

GLOBAL_BATCH, SAMPLES, EPOCHS = 12, 48, 3


def train(optimizer_name: str) -> tuple[list[float], list[np.ndarray]]:
    random = np.random.default_rng(0)
    inputs = torch.from_numpy(random.normal(size=(SAMPLES, 1, 6, 6)))
    targets = torch.from_numpy(random.integers(0, 4, SAMPLES))
    torch.manual_seed(dist.rank())  # the ranks begin with different weights: rank 0's count
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4)
    )
    model = dist.DataParallel(network.double(), first_bucket_mb=1e-4, bucket_cap_mb=5e-4)
    optimizer: torch.optim.Optimizer
    if optimizer_name == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    else:
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    dataset = TensorDataset(inputs, targets)
    sampler = dist.DistributedSampler(dataset, seed=3)
    loader = DataLoader(dataset, batch_size=GLOBAL_BATCH // dist.world_size(), sampler=sampler)
    losses = []
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        for x, y in loader:
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(dist.mean(loss))
    return losses, [parameter.detach().numpy() for parameter in model.parameters()]


dist.init()
for name in ("sgd", "adam"):
    losses, weights = train(name)
    everyones = dist.gather_objects(b"".join(array.tobytes() for array in weights))
    assert len(set(everyones)) == 1, "the ranks ended with different weights"
    if dist.rank() == 0:
        np.savez(f"{sys.argv[1]}/{name}-{dist.world_size()}.npz", losses, *weights)
