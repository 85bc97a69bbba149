"""The tasks of `leaderboard.py` in plain PyTorch: the textbook CNN, batches, optimizer and rates of plain Keras.

    python benchmarks/plain_torch.py mnist --path mnist.npz --save mnist.pt --options '{"epochs": 2}'

It needs PyTorch, NumPy and Pillow, and no imgcls. Tensors are channels-last, the faster layout on a CPU.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from plain_data import arguments, read, report, timed
from torch import nn
from torch.nn import functional

_SHIFT = 2  # pixels


def textbook(channels: int, classes: int, *, filters: tuple[int, ...]) -> nn.Sequential:
    """Build blocks of two convolutions 3x3, normalisation, ReLU and pooling, then dropout and a linear layer."""
    layers: list[nn.Module] = []
    for width in filters:
        for inputs in (channels, width):
            layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        layers.append(nn.MaxPool2d(2))
        channels = width
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(channels, classes)]
    return nn.Sequential(*layers, *head).to(memory_format=torch.channels_last)


def fit(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    *,
    filters: tuple[int, ...] = (32, 64),
    epochs: int,
    flip: bool = False,
    seed: int,
    batch_size: int = 64,
    peak: float = 4e-3,
) -> nn.Module:
    """Train the textbook CNN with AdamW; `flip` adds random mirror images and shifts."""
    torch.manual_seed(seed)
    x, y = _tensor(images), torch.from_numpy(labels.astype(np.int64))
    model = textbook(x.shape[1], int(labels.max()) + 1, filters=filters)
    optimizer = torch.optim.AdamW(model.parameters(), peak, weight_decay=0.004)
    steps = epochs * -(-len(x) // batch_size)
    done = 0
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for positions in order.split(batch_size):
            progress = done / steps
            optimizer.param_groups[0]["lr"] = peak * min(0.04 + 9.6 * progress, (1 - progress) / 0.9)
            batch = _scaled(x[positions])
            if flip:
                batch = _moved(batch)
            loss = functional.cross_entropy(model(batch), y[positions])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            done += 1
    return model


def accuracy(model: nn.Module, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """Return the share of images whose likeliest class is right."""
    model.eval()
    with torch.inference_mode():
        right = sum(
            int((model(_scaled(part)).argmax(1).numpy() == truth).sum())
            for part, truth in zip(
                _tensor(images).split(500), np.split(labels, range(500, len(labels), 500)), strict=True
            )
        )
    return right / len(labels)


def _tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)  # channels-last memory, seen as PyTorch wants it


def _scaled(images: torch.Tensor) -> torch.Tensor:
    return images.float().div_(127.5).sub_(1)


def _moved(images: torch.Tensor) -> torch.Tensor:
    """Mirror each image with probability 1/2 and move it by up to 2 pixels; the border is reflected."""
    count, side = len(images), images.shape[-1]
    padded = functional.pad(images, (_SHIFT,) * 4, "reflect")
    rows, columns = (torch.randint(0, 2 * _SHIFT + 1, (count, 1)) + torch.arange(side) for _ in range(2))
    columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
    moved = padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def main() -> None:
    """Read, train, save, and print what it took."""
    given, marks = arguments(__doc__), dict[str, float]()
    with timed(marks, "reading"):
        train, test = read(given.data, given.path)
    with timed(marks, "fit"):
        model = fit(*train, **given.options, seed=given.seed)
    torch.save(model.state_dict(), given.save)
    report(marks, lambda: accuracy(model, *test))


if __name__ == "__main__":
    main()
