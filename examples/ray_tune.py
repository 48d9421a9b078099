"""Let a Ray Tune run of your own draw the receptive field: the space is Tune's, the training function yours."""

import os
from pathlib import Path
from typing import Any

import torch
from ray import tune
from torch import nn
from torch.nn.functional import cross_entropy

import autorf

STEPS = 12
SPACE = [
    {"method": "dilation", "targets": "2", "rate": [1, 2, 4]},
    {"method": "learned_dilation", "targets": "2", "search": 0.5},
]


def pictures(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.rand(count, 3, 24, 24)
    return images, (nn.functional.avg_pool2d(images.mean(1), 9, 1, 4) > 0.5).long()


def train(config: dict[str, Any]) -> None:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1)
    model = autorf.adapt(nn.Sequential(*layers), autorf.tuned_method(config))  # what Tune drew
    optimizer = torch.optim.AdamW(autorf.parameter_groups(model, lr=config["lr"]))
    for step in range(STEPS):
        autorf.advance(model, step, STEPS)
        images, masks = pictures(4)
        loss = cross_entropy(model(images), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    autorf.advance(model, STEPS, STEPS)
    images, masks = pictures(64)
    accuracy = float((model(images).argmax(1) == masks).float().mean())
    rf = autorf.receptive_field(model, (24, 24)).size
    tune.report({"accuracy": accuracy, "rf": float(max(rf)), **autorf.learned_values(model)})


if __name__ == "__main__":
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={**autorf.tune_space(SPACE), "lr": tune.loguniform(3e-3, 3e-2)},
        tune_config=tune.TuneConfig(metric="accuracy", mode="max", num_samples=3, max_concurrent_trials=1),
        run_config=tune.RunConfig(storage_path=str(Path("tune").resolve()), verbose=0),
    )
    best = tuner.fit().get_best_result()
    assert best.config is not None
    assert best.metrics is not None
    method = autorf.tuned_method(best.config)
    print(f"best: {method!r}, accuracy {best.metrics['accuracy']:.3f}, rf {best.metrics['rf']:g}")
