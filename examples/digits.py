"""Train a small convolutional network on handwritten digits: alone, under mpirun, or through a server.

python examples/digits.py
mpirun -n 2 python examples/digits.py
allgrad submit -n 2 --follow examples/digits.py
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import allgrad as torch
import allgrad.nn as nn
from allgrad import dist
from allgrad.utils.data import DataLoader, TensorDataset

REPORT_EVERY = 3
"""Steps between reports of the loss: a mean over the ranks makes them wait for each other once more."""


def network() -> nn.Sequential:
    """Two convolutions and a linear layer: 8x8 pixels in, ten scores out."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 2 * 2, 10),
    )


def accuracy(model: nn.Module, digits: TensorDataset) -> float:
    """The fraction of *digits* that *model* reads correctly."""
    images, labels = digits.tensors
    with torch.no_grad():
        return float((model(images).argmax(dim=1) == labels).float().mean().item())


def train(options: argparse.Namespace) -> None:
    """Train on this rank's share of the digits, as all other ranks do on theirs."""
    dist.init()
    torch.manual_seed(options.seed)
    learned, unseen = torch.datasets.digits(train=True), torch.datasets.digits(train=False)
    sampler = dist.DistributedSampler(learned, seed=options.seed)
    loader = DataLoader(learned, batch_size=options.batch // dist.world_size(), sampler=sampler)
    model = network()
    parallel = dist.DataParallel(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=options.rate)
    steps, step = options.epochs * len(loader), 0
    for epoch in range(options.epochs):
        sampler.set_epoch(epoch)
        for images, labels in loader:
            for group in optimizer.param_groups:
                group["lr"] = options.rate * (1 - step / steps)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(parallel(images), labels)
            loss.backward()
            optimizer.step()
            if step % REPORT_EVERY == 0:
                dist.report(step, loss=dist.mean(loss))
            step += 1
        read = accuracy(model, unseen)
        dist.report(step, test_accuracy=read)
        if dist.rank() == 0:
            print(f"epoch {epoch + 1}: loss {loss.item():.4f}, test accuracy {read:.4f}")
    if dist.rank() == 0:
        keep(model, options.output, step)


def keep(model: nn.Module, folder: Path, step: int) -> None:
    """Save what *model* has learned into *folder* and report where."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), folder / "digits.safetensors")
    dist.report_checkpoint(folder / "digits.safetensors", step)
    print(f"saved {folder / 'digits.safetensors'}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a small convolutional network on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--batch", type=int, default=64, help="images a step, over all ranks")
    parser.add_argument("--rate", type=float, default=1e-2, help="learning rate of Adam, which falls to 0")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=os.environ.get("ALLGRAD_OUTPUT_DIR", "."))
    train(parser.parse_args())
