"""Train reproducibly with all that is random or ordered, and print the digest of every bit that came of it."""

import hashlib
import random
import sys
from typing import Any

import numpy as np

import allgrad as torch
from allgrad import dist, nn
from allgrad.utils.data import DataLoader, Dataset

SHARDS, BATCH = int(sys.argv[1]), 13


class Noisy(Dataset[Any]):
    """Samples that a transform changes by all three sources of random numbers."""

    def __init__(self) -> None:
        source = np.random.default_rng(0)
        self.images = source.normal(size=(40, 1, 4, 4)).astype("float32")
        self.labels = source.integers(0, 3, 40)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Any:
        noise = np.random.normal(size=(1, 4, 4)).astype("float32") * random.random()
        return torch.from_numpy(self.images[index] + noise) + torch.rand(1), int(self.labels[index])


class Network(nn.Module):
    """Convolution, batch norm, dropout, and a branch that only some shards use."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.3)
        self.linear = nn.Linear(64, 3)
        self.rare = nn.Parameter(torch.zeros(3))
        self.unused = nn.Parameter(torch.zeros(3))

    def forward(self, images: Any) -> Any:
        x = self.dropout(self.norm(self.convolution(images)).relu()).flatten(1)
        scores = self.linear(x)
        return scores + self.rare if float(images[0, 0, 0, 0]) > 0.5 else scores


def main() -> None:
    dist.init()
    torch.manual_seed(1 + dist.rank())
    model: Any = Network()
    if len(sys.argv) > 3:
        model = dist.SyncBatchNorm.convert_sync_batchnorm(model)
    parallel = dist.DataParallel(model, virtual_shards=SHARDS, seed=5)
    data = Noisy()
    sampler = dist.DistributedBatchSampler(data, batch_size=BATCH, virtual_shards=SHARDS, seed=3)
    loader = DataLoader(data, batch_sampler=sampler, num_workers=int(sys.argv[2]))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)

    def loss_of(images: Any, labels: Any) -> Any:
        scores = parallel(images)
        right = (scores.argmax(1) == labels).float().mean()
        return nn.functional.cross_entropy(scores, labels), {"accuracy": right}

    seen: list[Any] = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        for batch in loader:
            optimizer.zero_grad()
            loss, metrics = parallel.backward(loss_of, *batch)
            seen += [loss.item(), metrics["accuracy"], float(nn.utils.clip_grad_norm_(model.parameters(), 0.5))]
            optimizer.step()
    assert model.unused.grad is None
    assert parallel.steps == 8
    model.eval()
    seen += [parallel.evaluate(loss_of, *batch)[0].item() for batch in loader]
    digest = hashlib.sha256(repr(seen).encode())
    for _, tensor in sorted(model.state_dict().items()):
        digest.update(tensor.numpy().tobytes())
    found = set(dist.gather_objects(digest.hexdigest()))
    assert len(found) == 1, "the ranks ended with different bits"
    if dist.rank() == 0:
        print(seen[0], seen[-4], found.pop())


main()
