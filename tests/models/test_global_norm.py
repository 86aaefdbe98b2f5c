"""Normalisation over several processes: values, running statistics and gradients are those of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from hitlens.models.global_norm import GlobalNorm, normalised_together

N_FEATURES = 3
SHAPES = {"flat": (7, 3), "images": (6, 3, 4, 5), "volumes": (5, 3, 2, 3, 4)}
KINDS = {"flat": nn.BatchNorm1d, "images": nn.BatchNorm2d, "volumes": nn.BatchNorm3d}

#: What each of two processes does with its share, which is not half: one step, then the answer to the whole.
STEP = """
import sys
import torch
from torch import distributed
from hitlens.models.global_norm import GlobalNorm

folder, rank = sys.argv[1], int(sys.argv[2])
distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
for name, case in torch.load(folder + "/cases.pt", weights_only=False).items():
    x = case["x"]
    own = x[:2] if rank == 0 else x[2:]
    own = own.clone(memory_format=torch.preserve_format).requires_grad_()
    layer = GlobalNorm(case["layer"])
    out = layer(own)
    weight = case["weight"][:2] if rank == 0 else case["weight"][2:]
    (out * weight).sum().backward()
    found = {"out": out.detach(), "x": own.grad, "weight": layer.weight.grad, "bias": layer.bias.grad}
    found["state"] = layer.state_dict()
    found["later"] = layer.eval()(x)
    torch.save(found, f"{folder}/{name}-{rank}.pt")
distributed.destroy_process_group()
"""


def layer_of(kind: str, dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(2)
    layer = KINDS[kind](N_FEATURES, eps=1e-3, momentum=0.1).to(dtype)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    layer.running_mean.normal_()
    return layer


def case_of(kind: str, precision: str) -> dict[str, object]:
    torch.manual_seed(1)
    # Far from 0: a difference of large sums would lose the variance.
    x = torch.randn(SHAPES[kind], dtype=torch.float64) + (1000 if precision != "bfloat16" else 3)
    weight = torch.randn(SHAPES[kind], dtype=torch.float64)
    if kind == "images":
        x = x.contiguous(memory_format=torch.channels_last)
    dtype = torch.float64 if precision == "double" else torch.float32
    layer = layer_of(kind, dtype)
    kept = torch.bfloat16 if precision == "bfloat16" else dtype
    return {"x": x.to(kept), "weight": weight.to(kept), "layer": layer}


CASES = {(kind, precision) for kind in SHAPES for precision in ("double", "single", "bfloat16")}
TOLERANCE = {"double": 1e-10, "single": 2e-3, "bfloat16": 3e-2}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with what two processes found, case by case."""
    folder = tmp_path_factory.mktemp("norm")
    torch.save({"-".join(case): case_of(*case) for case in CASES}, folder / "cases.pt")
    script = folder / "step.py"
    script.write_text(STEP)
    both = [subprocess.Popen([sys.executable, script, folder, str(rank)]) for rank in range(2)]
    try:
        assert [process.wait(timeout=120) for process in both] == [0, 0]
    finally:
        for process in both:
            process.kill()
            process.wait()
    return folder


@pytest.mark.parametrize(("kind", "precision"), sorted(CASES))
def test_two_processes_normalise_as_one(answers: Path, kind: str, precision: str) -> None:
    case = case_of(kind, precision)
    x, layer = case["x"].requires_grad_(), case["layer"]  # type: ignore[attr-defined]
    out = layer(x)  # type: ignore[operator]
    (out * case["weight"]).sum().backward()
    first, second = (torch.load(answers / f"{kind}-{precision}-{rank}.pt") for rank in range(2))
    close = {"rtol": TOLERANCE[precision], "atol": TOLERANCE[precision]}
    torch.testing.assert_close(torch.cat([first["out"], second["out"]]), out, **close)
    torch.testing.assert_close(torch.cat([first["x"], second["x"]]), x.grad, **close)
    for name in ("weight", "bias"):
        torch.testing.assert_close(first[name] + second[name], getattr(layer, name).grad, **close)
    for found in (first, second):
        assert found["state"].keys() == layer.state_dict().keys()  # type: ignore[attr-defined]
        for name, value in layer.state_dict().items():  # type: ignore[attr-defined]
            torch.testing.assert_close(found["state"][name], value, **close)
    torch.testing.assert_close(first["later"], second["later"], rtol=0, atol=0)


def test_a_part_alone_is_not_normalised_like_the_whole(answers: Path) -> None:
    case = case_of("flat", "double")
    alone = case["layer"](case["x"][:2])  # type: ignore[operator,index]
    found = torch.load(answers / "flat-double-0.pt")["out"]
    assert (alone - found).abs().max() > 0.1


def test_one_process_keeps_torchs_own_layer() -> None:
    x, layer = torch.randn(6, 3, 4, 5), layer_of("images", torch.float32)
    expected = layer_of("images", torch.float32)(x)
    torch.testing.assert_close(GlobalNorm(layer)(x), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize(("device", "kind"), [("cpu", GlobalNorm), ("cuda", nn.SyncBatchNorm)])
def test_a_network_gets_its_own_layers_back_with_what_was_learnt(device: str, kind: type) -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.BatchNorm1d(3), nn.ReLU()), nn.BatchNorm1d(3))
    names, layers = list(network.state_dict()), [network[1][0], network[2]]
    with normalised_together(network, device):
        assert all(isinstance(layer, kind) for layer in (network[1][0], network[2]))
        assert list(network.state_dict()) == names
        network.double()
        with torch.no_grad():
            network[2].weight.fill_(4)
            network[1][0].running_mean.fill_(2)
        network.eval()
    assert [network[1][0], network[2]] == layers
    assert network[2].weight.tolist() == [4, 4, 4]
    assert network[1][0].running_mean.dtype == torch.float64
    assert network[1][0].running_mean.tolist() == [2, 2, 2]
    assert not network[2].training
