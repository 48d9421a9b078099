"""What autorf uses of other libraries without their promise: an upgrade that takes one away is named here."""

import ast
import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import autorf

PACKAGE = Path(autorf.__file__).parent


def _parameters(function: Callable[..., object]) -> list[str]:
    return list(inspect.signature(function).parameters)


def _pydantic_metaclass() -> bool:
    from pydantic import BaseModel
    from pydantic._internal._model_construction import ModelMetaclass

    return type(BaseModel) is ModelMetaclass


def _optuna_rows() -> bool:
    import optuna

    return isinstance(optuna.trial.create_trial(value=0.0)._trial_id, int)


def _optuna_study() -> bool:
    import optuna

    return isinstance(optuna.create_study()._study_id, int)


def _optuna_suggest() -> bool:
    import optuna

    return _parameters(optuna.trial.Trial._suggest) == ["self", "name", "distribution"]


def _optuna_generation() -> bool:
    from optuna.samplers import NSGAIISampler

    return isinstance(NSGAIISampler._get_generation_key(), str)


def _mlflow_tables() -> bool:
    from mlflow.store.db.utils import _initialize_tables

    return _parameters(_initialize_tables) == ["engine"]


def _ray_cluster_switch() -> bool:
    from ray._private import ray_constants

    from autorf.executors.ray_cluster import _NO_CLUSTERS

    return (
        isinstance(ray_constants.ENABLE_RAY_CLUSTER, bool) and _NO_CLUSTERS == ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    )


def _ray_services() -> bool:
    from ray._private import ray_constants, services

    # The process that asks the cloud is started by this function, found by its name in the module.
    starts = inspect.getsource(services.start_api_server)
    return (
        "start_ray_process(" in starts
        and "PROCESS_TYPE_DASHBOARD" in starts
        and "env_updates" in _parameters(services.start_ray_process)
        and isinstance(ray_constants.PROCESS_TYPE_DASHBOARD, str)
    )


def _ray_hidden_options() -> bool:
    import ray

    # They are among the keywords that `init` takes as they come, and checks itself.
    return all(f'pop("{name}"' in inspect.getsource(ray.init) for name in ("_node_ip_address", "_temp_dir"))


def _ray_process_variables() -> bool:
    from ray.train.torch.config import _set_torch_distributed_env_vars

    return _parameters(_set_torch_distributed_env_vars) == []


def _ray_backend() -> bool:
    from ray.train._internal.worker_group import WorkerGroup
    from ray.train.torch.config import _TorchBackend

    return (
        _parameters(_TorchBackend.on_start)[:3] == ["self", "worker_group", "backend_config"]
        and _parameters(WorkerGroup.execute)[:2] == ["self", "func"]
        and _parameters(WorkerGroup.execute_single_async)[:3] == ["self", "worker_index", "func"]
    )


def _torch_trees() -> bool:
    from torch.utils._pytree import tree_leaves, tree_map

    return tree_leaves({"a": (1, [2])}) == [1, 2] and tree_map(str, (1, 2)) == ("1", "2")


def _torch_dispatch() -> bool:
    from torch.utils._python_dispatch import TorchDispatchMode

    return hasattr(TorchDispatchMode, "__torch_dispatch__") and hasattr(TorchDispatchMode, "__enter__")


def _torch_operators() -> bool:
    import torch
    from torch._ops import OpOverload

    operator = torch.ops.aten.add.Tensor
    return isinstance(operator, OpOverload) and operator._schema.name == "aten::add"


def _torch_backward() -> bool:
    import torch

    inside: list[int] = []
    value = torch.ones((), requires_grad=True)
    value.register_hook(lambda gradient: inside.append(torch._C._current_graph_task_id()))
    value.backward()  # type: ignore[no-untyped-call]
    return torch._C._current_graph_task_id() == -1 and inside != [-1]


def _torch_modules() -> bool:
    from torch import nn

    return all(isinstance(getattr(nn.Conv2d(1, 1, 1), name), dict) for name in _TORCH_DICTIONARIES)


def _torch_norms() -> bool:
    from torch import nn
    from torch.nn.modules.batchnorm import _NormBase

    return issubclass(nn.BatchNorm2d, _NormBase) and issubclass(nn.InstanceNorm2d, _NormBase)


def _torch_fully_shard() -> bool:
    from torch import nn
    from torch.distributed._composable.contract import REGISTRY_KEY, STATE_KEY
    from torch.distributed._composable_state import _module_state_mapping

    return bool(STATE_KEY and REGISTRY_KEY) and nn.Identity() not in _module_state_mapping


def _torchvision_kernels() -> bool:
    from torchvision.transforms.v2 import Transform

    return _parameters(Transform._call_kernel)[:3] == ["self", "functional", "inpt"]


def _torch_compiled_calls() -> bool:
    from torch import nn

    return nn.Identity()._compiled_call_impl is None


def _torch_recording() -> bool:
    import torch
    from torch import nn

    from autorf.fields.recording import record

    graph = record(nn.Conv2d(3, 2, 3).eval(), torch.zeros(1, 3, 8, 8))
    return [str(node.target) for node in graph.nodes if node.op == "call_function"] == ["aten.conv2d.default"]


def _torch_convolutions() -> bool:
    from torch import nn

    return _parameters(nn.Conv2d._conv_forward) == ["self", "input", "weight", "bias"]


_TORCH_DICTIONARIES = ("_parameters", "_buffers", "_modules", "_forward_hooks", "_forward_pre_hooks")

INTERFACES: dict[Callable[[], bool], tuple[tuple[str, ...], tuple[str, ...]]] = {
    _pydantic_metaclass: (("ModelMetaclass",), ("specification.py",)),
    _optuna_rows: (("_trial_id",), ("store/record.py",)),
    _optuna_suggest: (("_suggest",), ("driver/sampling.py",)),
    _optuna_generation: (("_get_generation_key",), ("driver/sampling.py",)),
    _optuna_study: (("_study_id",), ("store/reader.py",)),
    _mlflow_tables: (("_initialize_tables",), ("tracking/client.py",)),
    _ray_cluster_switch: (("ray_constants",), ("executors/ray_cluster.py",)),
    _ray_services: (("services",), ("executors/ray_cluster.py",)),
    _ray_hidden_options: (("_node_ip_address", "_temp_dir"), ("executors/ray_cluster.py",)),
    _ray_process_variables: (("_set_torch_distributed_env_vars",), ("executors/ray_parallel.py",)),
    _ray_backend: (("_TorchBackend",), ("executors/ray_parallel.py",)),
    _torch_trees: (("tree_leaves", "tree_map"), ("surgery/*.py", "testing/*.py")),
    _torch_dispatch: (("TorchDispatchMode",), ("surgery/flow.py",)),
    _torch_operators: (("OpOverload", "_ops", "_schema"), ("fields/engine.py", "fields/liveness.py")),
    _torch_backward: (("_C", "_current_graph_task_id"), ("methods/passes.py",)),
    _torch_modules: (
        _TORCH_DICTIONARIES,
        ("methods/modules.py", "methods/pixelwise.py", "surgery/swap.py", "testing/*"),
    ),
    _torch_norms: (("_NormBase",), ("methods/held_statistics.py",)),
    _torch_fully_shard: (("STATE_KEY", "REGISTRY_KEY", "_module_state_mapping"), ("surgery/sharding.py",)),
    _torch_compiled_calls: (("_compiled_call_impl",), ("surgery/unused.py",)),
    _torch_recording: (
        ("_cdata", "enable_pre_dispatch", "enable_python_dispatcher", "no_python_dispatcher", "tree_map_only"),
        ("fields/recording.py",),
    ),
    _torch_convolutions: (("_conv_forward",), ("networks/added_channels.py",)),
    _torchvision_kernels: (("_call_kernel",), ("data/augmentation.py",)),
}
"""Whether it is as we know it, the names of it that we use, and our files that do."""

DOCUMENTED = {"_exit": os, "_replace": tuple}
"""Names with an underscore that are promised all the same: ``os._exit``, and that of named tuples."""


@pytest.mark.parametrize("interface", INTERFACES, ids=lambda check: check.__name__.strip("_"))
def test_a_private_interface_is_as_we_know_it(interface: Callable[[], bool]) -> None:
    names, ours = INTERFACES[interface]
    message = f"{' and '.join(names)}: changed by an upgrade; autorf/{', autorf/'.join(ours)} must follow"
    try:
        kept = interface()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        pytest.fail(f"{message} ({error})")
    assert kept, message


def _foreign(tree: ast.AST) -> Iterator[str]:
    """Private names that a file imports from other libraries, passes to them, or reads of their objects."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("autorf"):
            yield from (alias.name for alias in node.names if "._" in node.module or alias.name.startswith("_"))
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            yield node.attr
        elif isinstance(node, ast.keyword) and (node.arg or "").startswith("_"):
            yield str(node.arg)


def _own(tree: ast.AST) -> Iterator[str]:
    """Names that a file gives something itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def test_every_private_name_of_another_library_is_known_here() -> None:
    files = {
        str(path.relative_to(PACKAGE)): ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")
    }
    own = {name for tree in files.values() for name in _own(tree)}
    listed = {name for names, _ in INTERFACES.values() for name in names}
    used = {name: file for file, tree in files.items() for name in _foreign(tree) if not name.startswith("__")}
    assert {name: file for name, file in used.items() if name not in own | listed | set(DOCUMENTED)} == {}


@pytest.mark.parametrize("names", [names for names, _ in INTERFACES.values()], ids=lambda names: names[0])
def test_the_files_that_are_said_to_use_it_do(names: tuple[str, ...]) -> None:
    patterns = next(ours for known, ours in INTERFACES.values() if known == names)
    for pattern in patterns:
        text = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.glob(pattern))
        assert any(name in text for name in names), f"{pattern} uses none of {names} any more"
