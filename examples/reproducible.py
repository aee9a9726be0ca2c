"""Train digits to the same bits on any number of ranks, saving on the way; killed and started again it goes on.

python examples/reproducible.py
mpirun -n 3 python examples/reproducible.py
"""

from __future__ import annotations

import argparse
import hashlib
from typing import Any

import allgrad as torch
import allgrad.nn as nn
from allgrad import dist
from allgrad.utils.data import DataLoader

SHARDS = 8
"""Into how many parts a step is cut, whoever computes them: a multiple of the numbers of ranks one may want."""


def network() -> nn.Sequential:
    """A small convolutional network with batch norm and dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(16 * 4 * 4, 10),
    )


def train(options: argparse.Namespace) -> None:
    """Train from the beginning, or from the last checkpoint in the folder."""
    dist.init()
    torch.manual_seed(0)
    digits = torch.datasets.digits(train=True)
    sampler = dist.DistributedBatchSampler(digits, batch_size=128, virtual_shards=SHARDS, seed=0)
    loader = DataLoader(digits, batch_sampler=sampler)
    model = network()
    parallel = dist.DataParallel(model, virtual_shards=SHARDS)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 20, gamma=0.5)
    parts: dict[str, Any] = {"model": parallel, "optimizer": optimizer, "scheduler": scheduler, "loader": loader}

    def loss_of(images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, dict[str, Any]]:
        scores = parallel(images)
        return nn.functional.cross_entropy(scores, labels), {"accuracy": (scores.argmax(1) == labels).float().mean()}

    with dist.Checkpointer(options.folder, keep_last=2, keep_best=("loss", 1)) as checkpointer:
        restored = checkpointer.restore(**parts)
        step = restored.step if restored else 0
        for epoch in range(restored.values["epoch"] if restored else 0, options.epochs):
            sampler.set_epoch(epoch)
            for images, labels in loader:
                optimizer.zero_grad()
                loss, metrics = parallel.backward(loss_of, images, labels)
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                scheduler.step()
                step += 1
                dist.report(step, loss=loss, **metrics)
                if step % options.every == 0:
                    checkpointer.save(step, metrics={"loss": loss}, epoch=epoch, **parts)
    if dist.rank() == 0:
        print(f"{step} steps, weights {digest(model)}")


def digest(model: nn.Module) -> str:
    """A few characters that tell apart any two sets of weights."""
    tensors = model.state_dict().values()
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in tensors)).hexdigest()[:16]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train digits to the same bits on any number of ranks.")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--every", type=int, default=10, help="steps between checkpoints")
    parser.add_argument("--folder", help="for the checkpoints (default: $ALLGRAD_OUTPUT_DIR/checkpoints)")
    train(parser.parse_args())
