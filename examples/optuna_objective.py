"""Let an Optuna study of your own choose the receptive field and its own pruner end what lags behind."""

import optuna
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import autorf
from autorf.data import DigitsData, load
from autorf.metrics import confusion, scores

STEPS, EVERY = 12, 4
DATA = DigitsData(image_size=(48, 48), object_size=(20,), n_train=48, n_val=8, n_test=0)
SPACE = [
    {"method": "dilation", "targets": "2", "rate": {"low": 1, "high": 8}, "model.args.width": [8, 16]},
    {"method": "learned_dilation", "targets": "2", "search": 0.5, "model.args.width": [8, 16]},
]


def network(width: int, n_classes: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
        nn.Conv2d(width, n_classes, 1),
    )  # fmt: skip


def train(trial: autorf.LoopTrial) -> None:
    splits = load(DATA)
    model = trial.adapt(network(trial.args["width"], splits.n_classes))
    optimizer = torch.optim.AdamW(autorf.parameter_groups(model, lr=1e-2))
    pictures, truth = splits.val.tensors(range(len(splits.val)))
    for step in range(trial.steps):
        autorf.advance(model, step, trial.steps)
        images, masks = splits.train.tensors(torch.randint(len(splits.train), (8,)))
        loss = cross_entropy(model(images), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if trial.due(step + 1, EVERY):
            autorf.advance(model, step + 1, trial.steps)
            with torch.no_grad():
                matrix = confusion(model(pictures).argmax(1), truth, splits.n_classes)
            if not trial.report(step + 1, miou=scores(matrix, splits.class_names).miou):
                return


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(
    direction="maximize", sampler=optuna.samplers.TPESampler(seed=0), pruner=optuna.pruners.MedianPruner(2)
)
study.optimize(autorf.Objective(train, SPACE, "miou", steps=STEPS, image_size=DATA.image_size), n_trials=6)
best = study.best_trial
print(f"best: {best.user_attrs['autorf.configuration']}, mIoU {best.value:.3f}, rf {best.user_attrs['autorf.rf']}")
