"""The task of `transfer.py` in plain PyTorch, the way of fastai's `fine_tune`: a frozen epoch, then all of the network.

    python benchmarks/plain_torch_transfer.py FOLDER --weights FILE.h5 --save model.pt [--epochs 4] [--seed 0]

It needs PyTorch, NumPy, Pillow and h5py, and no imgcls. MobileNetV2 is written out, for its weights lie in a file of
Keras'. As in fastai (fastai.vision.learner and fastai.callback.schedule, 2.8): the head with both poolings and two
linear layers, Adam, one-cycle rates and momenta, normalisation trained while the rest is frozen, a hundredth of the
head's rate for the body; flips, turns, zoom and light as augmentation.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

_SIDE, _BATCH = 224, 64
_RATE, _DECAY = 2e-3, 0.01
_BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class Block(nn.Module):
    """Widen, convolve each channel by itself, narrow; added to the input where both have one shape."""

    def __init__(
        self, read: Callable[..., list[nn.Module]], name: str, expand: int, ends: tuple[int, int], stride: int
    ) -> None:
        super().__init__()
        inputs, outputs = ends
        wide = expand * inputs
        widened = [*read(f"{name}_expand", f"{name}_expand_BN", inputs, wide), nn.ReLU6(True)] if expand > 1 else []
        deep = read(f"{name}_depthwise", f"{name}_depthwise_BN", wide, wide, 3, stride, wide)
        self.layers = nn.Sequential(
            *widened, *deep, nn.ReLU6(True), *read(f"{name}_project", f"{name}_project_BN", wide, outputs)
        )
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Answer feature maps."""
        return x + self.layers(x) if self.adds else self.layers(x)


def mobilenet_v2(weights: str) -> nn.Sequential:
    """Build MobileNetV2 at full width, without top, from a weights file of `keras.applications`."""
    arrays: dict[str, Tensor] = {}

    def keep(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset):
            arrays["/".join(name.split("/")[-2:]).removesuffix(":0")] = torch.from_numpy(item[()])

    with h5py.File(weights) as file:
        file.visititems(keep)

    def read(
        name: str, norm: str, inputs: int, outputs: int, size: int = 1, stride: int = 1, groups: int = 1
    ) -> list[nn.Module]:
        padding = 0 if stride == 2 else size // 2
        layer = nn.Conv2d(inputs, outputs, size, stride, padding, groups=groups, bias=False)
        kernel = next(arrays[key] for key in (f"{name}/kernel", f"{name}/depthwise_kernel") if key in arrays)
        layer.weight.data = kernel.permute(3, 2, 0, 1) if groups == 1 else kernel.permute(2, 3, 0, 1)
        after = nn.BatchNorm2d(outputs, eps=1e-3)
        for ours, theirs in (("weight", "gamma"), ("bias", "beta")):
            getattr(after, ours).data = arrays[f"{norm}/{theirs}"]
        after.running_mean, after.running_var = (arrays[f"{norm}/moving_{part}"] for part in ("mean", "variance"))
        return [*([nn.ZeroPad2d((0, 1, 0, 1))] if stride == 2 else []), layer, after]  # where Keras pads

    layers: list[nn.Module] = [*read("Conv1", "bn_Conv1", 3, 32, 3, 2), nn.ReLU6(True)]
    inputs, number = 32, 0
    for expand, outputs, count, first in _BLOCKS:
        for index in range(count):
            name = f"block_{number}" if number else "expanded_conv"
            layers.append(Block(read, name, expand, (inputs, outputs), first if index == 0 else 1))
            inputs, number = outputs, number + 1
    return nn.Sequential(*layers, *read("Conv_1", "Conv_1_bn", 320, 1280), nn.ReLU6(True))


class Head(nn.Module):
    """What fastai puts on a body: both poolings, then two linear layers with normalisation and dropout before each."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        first, second = nn.Linear(2 * channels, 512, bias=False), nn.Linear(512, classes, bias=False)
        for layer in (first, second):
            nn.init.kaiming_normal_(layer.weight)
        normal = [nn.BatchNorm1d(2 * channels), nn.Dropout(0.25), first, nn.ReLU(True)]
        self.layers = nn.Sequential(*normal, nn.BatchNorm1d(512), nn.Dropout(0.5), second)

    def forward(self, x: Tensor) -> Tensor:
        """Answer scores."""
        return self.layers(torch.cat([x.amax((2, 3)), x.mean((2, 3))], 1))


class Photos:
    """The photos of `FOLDER/CLASS/*`, cut to a square and shrunk."""

    def __init__(self, folder: Path) -> None:
        classes = sorted(place.name for place in folder.iterdir() if place.is_dir())
        self.files = [file for name in classes for file in sorted((folder / name).iterdir())]
        self.labels = [classes.index(file.parent.name) for file in self.files]
        self.ids = [file.relative_to(folder).as_posix() for file in self.files]
        self.classes = classes

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self.files[index]) as opened:
            image = opened.convert("RGB")
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        image = image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, (left, top, left + side, top + side))
        return torch.from_numpy(np.array(image)).permute(2, 0, 1), self.labels[index]


def augmented(images: Tensor) -> Tensor:
    """Mirror half of the images; with a chance of 3 in 4, turn by up to 10 degrees, zoom by up to 1.1, change light."""
    count = len(images)

    def drawn(low: float, high: float) -> Tensor:
        return torch.where(torch.rand(count) < 0.75, torch.empty(count).uniform_(low, high), 0.0)

    angle, zoom = drawn(-math.pi / 18, math.pi / 18), 1 / (1 + drawn(0, 0.1))
    mirror = torch.where(torch.rand(count) < 0.5, -1.0, 1.0)
    cosine, sine, zero = zoom * angle.cos(), zoom * angle.sin(), torch.zeros(count)
    matrices = torch.stack([cosine * mirror, -sine, zero, sine * mirror, cosine, zero], 1).view(count, 2, 3)
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, padding_mode="reflection", align_corners=False)
    light, contrast = drawn(-0.2, 0.2).view(-1, 1, 1, 1), torch.exp(drawn(-0.2, 0.2)).view(-1, 1, 1, 1)
    return (moved * contrast + light).clamp_(-1, 1)


def scaled(batches: DataLoader) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield images from -1 to 1 with channels last in memory, and labels."""
    for images, labels in batches:
        yield images.float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last), labels


def fit(body: nn.Module, head: nn.Module, photos: Photos, *, epochs: int) -> None:
    """Train the head for an epoch, with normalisation, and then all of it."""
    network = nn.Sequential(body, head)
    norms = [part for part in body.modules() if isinstance(part, nn.BatchNorm2d)]
    batches = DataLoader(photos, _BATCH, shuffle=True, num_workers=2, drop_last=True, persistent_workers=True)
    for count, rate, frozen in ((1, _RATE, True), (epochs, _RATE / 2, False)):
        for weights in body.parameters():
            weights.requires_grad_(not frozen)
        for norm in norms:
            norm.requires_grad_(True)
        slow = rate / (10 if frozen else 100)
        groups = [
            {"params": [weights for weights in part.parameters() if weights.requires_grad], "lr": speed}
            for part, speed in ((body, slow), (head, rate))
        ]
        optimizer = torch.optim.AdamW(groups, weight_decay=_DECAY, betas=(0.95, 0.99), eps=1e-5)
        steps = count * len(batches)
        options = {"pct_start": 0.99, "div_factor": 25} if frozen else {"pct_start": 0.3, "div_factor": 5}
        plan = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, [slow, rate], total_steps=steps, base_momentum=0.85, max_momentum=0.95, **options
        )
        network.train()
        for _ in range(count):
            for images, labels in scaled(batches):
                loss = functional.cross_entropy(network(augmented(images)), labels)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                plan.step()


def main() -> None:
    """Read, train, measure, save, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--save", required=True)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    train, test = (Photos(given.folder / part) for part in ("train", "val"))
    body = mobilenet_v2(given.weights).to(memory_format=torch.channels_last)
    head = Head(1280, len(train.classes))
    fit(body, head, train, epochs=given.epochs)
    network = nn.Sequential(body, head).eval()
    with torch.inference_mode():
        answers = [
            bool(answer)
            for images, labels in scaled(DataLoader(test, _BATCH, num_workers=2))
            for answer in network(images).argmax(1) == labels
        ]
    torch.save(network.state_dict(), given.save)
    processor = sum(os.times()[:4])  # with that of the processes that read photos
    print(json.dumps({"right": answers, "ids": test.ids, "end": time.time(), "processor": processor}))


if __name__ == "__main__":
    main()
