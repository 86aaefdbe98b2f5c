"""Every architecture, on one and on two views: shapes, gradients, independence of the batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hitlens.detector import View
from hitlens.errors import ConfigError, NotFoundError
from hitlens.models import MODELS, build_network
from hitlens.models.dropout import ByteDropout
from hitlens.models.keras_defaults import KerasNorm2d
from hitlens.models.preprocessing import in_fast_layout

SQUARE = View(name="anode", shape=(16, 16), axes=("x", "y"), pitch_mm=(3, 3), unit="photons")
OBLONG = View(name="side", shape=(10, 14), axes=("plane", "cell"), pitch_mm=(1, 1), unit="counts")
TANK = View(name="tank", shape=(6, 9, 8), axes=("z", "y", "x"), pitch_mm=(5, 5, 5), unit="counts")
BLOCK = View(name="block", shape=(4, 4, 5), axes=("z", "y", "x"), pitch_mm=(5, 5, 5), unit="counts")
ONE_VIEW = ("plain_cnn",)


def count(network: nn.Module) -> tuple[int, int]:
    """Trained parameters, and all as Keras counts them: running statistics too."""
    trained = sum(p.numel() for p in network.parameters())
    statistics = sum(b.numel() for name, b in network.named_buffers() if "running" in name)
    return trained, trained + statistics


def inputs(views: tuple[View, ...], n: int, n_channels: int = 1) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {view.name: torch.randn(n, n_channels, *view.shape) for view in views}


def views_for(name: str) -> tuple[View, ...]:
    if 2 not in MODELS[name].n_axes:
        return (TANK, BLOCK)
    return (SQUARE,) if name in ONE_VIEW else (SQUARE, OBLONG)


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("n_channels", [1, 2])
def test_shapes_and_gradients(name: str, n_channels: int) -> None:
    views = views_for(name)
    network = build_network(name, {}, views, n_channels, 3)
    outputs = network(inputs(views, 4, n_channels))
    assert outputs.shape == (4, 3)
    assert outputs.dtype == torch.float32
    outputs.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize("name", list(MODELS))
def test_an_event_does_not_see_its_batch(name: str) -> None:
    views = views_for(name)
    network = build_network(name, {}, views, 1, 2).eval()
    images = inputs(views, 6)
    with torch.no_grad():
        together = network(images)
        alone = torch.cat([network({v: x[i : i + 1] for v, x in images.items()}) for i in range(6)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", list(MODELS))
def test_bfloat16_is_close_to_float32(name: str) -> None:
    views = views_for(name)
    network = build_network(name, {}, views, 1, 2).eval()
    with torch.no_grad():
        exact = network(inputs(views, 8))
        with torch.autocast("cpu", torch.bfloat16):
            rounded = network(inputs(views, 8))
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("head", ["conv", "dense"])
@pytest.mark.parametrize(
    ("last_features", "total", "trained"), [(128, 326_081, 325_249), (64, 260_161, 259_457)]
)
def test_the_seed_network_has_its_published_size(
    head: str, last_features: int, total: int, trained: int
) -> None:
    network = build_network("plain_cnn", {"last_features": last_features, "head": head}, (SQUARE,), 1, 1)
    assert count(network) == (trained, total)


def test_the_last_convolution_is_a_dense_layer_of_the_same_weights() -> None:
    """The seed notebook's open question: both heads are one and the same map."""
    conv = build_network("plain_cnn", {"head": "conv"}, (SQUARE,), 1, 1).eval()
    dense = build_network("plain_cnn", {"head": "dense"}, (SQUARE,), 1, 1).eval()
    weights = list(conv.state_dict().values())
    renamed = dict(zip(dense.state_dict(), weights, strict=True))
    renamed = {name: value.reshape(dense.state_dict()[name].shape) for name, value in renamed.items()}
    order = list(dense.state_dict())
    assert [v.shape.numel() for v in conv.state_dict().values()] == [
        dense.state_dict()[n].numel() for n in order
    ]
    dense.load_state_dict(renamed)
    with torch.no_grad():
        torch.testing.assert_close(
            conv(inputs((SQUARE,), 5)), dense(inputs((SQUARE,), 5)), rtol=1e-4, atol=1e-5
        )


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(NotFoundError, match="Did you mean 'plain_cnn'"):
        build_network("plain_cn", {}, (SQUARE,), 1, 1)
    with pytest.raises(ConfigError, match="Did you mean 'dropout'"):
        build_network("plain_cnn", {"dropuot": 0.1}, (SQUARE,), 1, 1)
    with pytest.raises(ConfigError, match=r"model.settings.dropout"):
        build_network("plain_cnn", {"dropout": 1.5}, (SQUARE,), 1, 1)


#: What the notebook prints of the network at its defaults: kind, channels and pixels put out, weights.
CEBR_SUMMARY = """
conv 32 16 16 320 | norm 32 16 16 128 | conv 32 16 16 9248 | norm 32 16 16 128 | conv 32 8 8 25632
norm 32 8 8 128 | dropout 32 8 8 0 | conv 64 8 8 18496 | norm 64 8 8 256 | conv 64 8 8 36928
norm 64 8 8 256 | conv 64 4 4 102464 | norm 64 4 4 256 | dropout 64 4 4 0 | conv 128 1 1 131200
norm 128 1 1 512 | dropout 128 1 1 0 | flatten 128 0 | dense 1 129
"""

#: The same of one branch of the notebook's network for two views, and of what follows both.
NOVA_BRANCH = """
conv 8 100 80 80 | pool 8 50 40 0 | dropout 8 50 40 0 | conv 16 50 40 1168 | pool 16 25 20 0
dropout 16 25 20 0 | conv 16 25 20 2320 | pool 16 13 10 0 | dropout 16 13 10 0 | flatten 2080 0
"""
NOVA_JOINED = "dense 8 33288 | dropout 8 0 | dense 1 9"

KINDS = {
    nn.Conv2d: "conv",
    KerasNorm2d: "norm",
    nn.MaxPool2d: "pool",
    ByteDropout: "dropout",
    nn.Flatten: "flatten",
    nn.Linear: "dense",
}


def printed(summary: str) -> list[str]:
    return [part.strip() for line in summary.strip().splitlines() for part in line.split("|")]


def layers_of(network: nn.Module, views: tuple[View, ...]) -> list[str]:
    """Layers in the order they are computed, as the notebook prints them; rectifiers are part of a layer."""
    found: list[str] = []

    def note(layer: nn.Module, _: object, out: torch.Tensor) -> None:
        n_weights = sum(p.numel() for p in layer.parameters())
        n_weights += sum(b.numel() for name, b in layer.named_buffers() if "running" in name)
        found.append(" ".join(map(str, [KINDS[type(layer)], *out.shape[1:], n_weights])))

    for layer in network.modules():
        if type(layer) in KINDS:
            layer.register_forward_hook(note)
    network.eval()(inputs(views, 1))
    return found


def test_the_cebr_network_is_the_notebooks_layer_by_layer() -> None:
    network = build_network("plain_cnn", {}, (SQUARE,), 1, 1)
    assert layers_of(network, (SQUARE,)) == printed(CEBR_SUMMARY)
    chances = [layer.n_dropped for layer in network.modules() if isinstance(layer, ByteDropout)]
    assert chances == [102, 102, 102]  # .4 of 256
    norms = [layer for layer in network.modules() if isinstance(layer, KerasNorm2d)]
    assert {(layer.eps, layer.momentum) for layer in norms} == {(1e-3, 0.01)}
    sequence = [type(m) for m in network.body.modules() if type(m) in (nn.Conv2d, nn.ReLU, KerasNorm2d)]  # type: ignore[union-attr]
    assert sequence == [nn.Conv2d, nn.ReLU, KerasNorm2d] * 7


def test_the_nova_network_is_the_notebooks_layer_by_layer() -> None:
    network = build_network("two_branch_cnn", {}, PIXEL_MAPS, 1, 1)
    assert layers_of(network, PIXEL_MAPS) == printed(NOVA_BRANCH) * 2 + printed(NOVA_JOINED)
    chances = [layer.n_dropped / 256 for layer in network.modules() if isinstance(layer, ByteDropout)]
    assert chances == pytest.approx([0.25, 0.25, 0.4, 0.25, 0.25, 0.4, 0.5], abs=1 / 512)
    assert isinstance(network.hidden[1], nn.ReLU)  # type: ignore[index]


def test_the_regressions_hidden_layer_has_no_activation() -> None:
    settings = {"hidden_activation": "linear"}
    network = build_network("two_branch_cnn", settings, PIXEL_MAPS, 1, 1).eval()
    assert count(network)[0] == 40_433
    hidden = network.hidden(torch.randn(50, 4160))  # type: ignore[operator]
    assert (hidden < 0).any()
    rectified = build_network("two_branch_cnn", {}, PIXEL_MAPS, 1, 1).eval()
    assert (rectified.hidden(torch.randn(50, 4160)) >= 0).all()  # type: ignore[operator]


def test_further_poolings_have_the_last_dropout() -> None:
    settings = {"features": [4, 4, 4, 4], "branch_dropout": [0.5, 0.125], "dropout": 0.25}
    network = build_network("two_branch_cnn", settings, PIXEL_MAPS[:1], 1, 1)
    chances = [layer.n_dropped for layer in network.modules() if isinstance(layer, ByteDropout)]
    assert chances == [128, 32, 32, 32, 64]


@pytest.mark.parametrize("shape", [(1, 1), (3, 17), (15, 8), (5, 2)])
@pytest.mark.parametrize("head", ["conv", "dense"])
def test_the_plain_network_takes_views_of_any_size(shape: tuple[int, int], head: str) -> None:
    view = View(name="odd", shape=shape, axes=("x", "y"), pitch_mm=(1, 1), unit="counts")
    network = build_network("plain_cnn", {"features": [4, 4], "head": head}, (view,), 1, 2)
    assert network(inputs((view,), 3)).shape == (3, 2)


PIXEL_MAPS = tuple(
    View(name=n, shape=(100, 80), axes=("plane", "cell"), pitch_mm=(1, 1), unit="counts") for n in ("x", "y")
)


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 40), (40, 1), (2, 2), (31, 47), (1, 1, 30), (2, 2, 2), (5, 7, 9)]
)
@pytest.mark.parametrize("name", list(MODELS))
def test_no_view_is_too_small_for_its_networks(name: str, shape: tuple[int, ...]) -> None:
    if len(shape) not in MODELS[name].n_axes:
        pytest.skip(f"{name} takes flat views only")
    view = View(name="odd", shape=shape, axes=("z", "y", "x")[-len(shape) :], unit="counts")
    network = build_network(name, {}, (view,), 1, 2)
    for n_events in (4, 1):
        outputs = network.train(n_events > 1)(inputs((view,), n_events))
        assert outputs.shape == (n_events, 2) and torch.isfinite(outputs).all()


@pytest.mark.parametrize("n_outputs", [1, 5])
def test_the_two_branch_seed_network_has_its_published_size(n_outputs: int) -> None:
    network = build_network("two_branch_cnn", {}, PIXEL_MAPS, 1, n_outputs)
    assert count(network)[0] == 40_433 + 9 * (n_outputs - 1)


def test_only_the_first_convolution_of_the_seed_has_an_activation() -> None:
    def kinds(activations: str) -> list[type[nn.Module]]:
        network = build_network("two_branch_cnn", {"activations": activations}, PIXEL_MAPS, 1, 1)
        return [type(layer) for layer in network.branches["x"]]  # type: ignore[index, union-attr]

    assert [kind is nn.ReLU for kind in kinds("first")].count(True) == 1
    assert kinds("first")[1] is nn.ReLU
    assert [kind is nn.ReLU for kind in kinds("all")].count(True) == 3


@pytest.mark.parametrize(
    "settings", [{"stem_kernel": 4, "stem_stride": 4}, {"stem_kernel": 7, "stem_stride": 3}]
)
def test_a_coarse_stem_leaves_no_pixel_out(settings: dict[str, int]) -> None:
    network = build_network("residual_cnn", settings, (OBLONG,), 1, 1)
    image = torch.zeros(1, 1, 10, 14, requires_grad=True)
    tower = network.towers["side"]  # type: ignore[index, union-attr]
    stem = tower.stem(tower.border(image))
    assert stem.shape[2:] == (-(-10 // settings["stem_stride"]), -(-14 // settings["stem_stride"]))
    stem.sum().backward()
    assert image.grad is not None
    assert (image.grad != 0).all()


def test_a_shared_tower_sees_all_views_alike() -> None:
    network = build_network("residual_cnn", {"shared_towers": True}, PIXEL_MAPS, 1, 2).eval()
    separate = build_network("residual_cnn", {}, PIXEL_MAPS, 1, 2)
    assert count(network)[0] < count(separate)[0]
    images = inputs(PIXEL_MAPS, 3)
    tower = network.towers["x"]  # type: ignore[index, union-attr]
    with torch.no_grad():
        features = torch.cat([tower(images["x"]), tower(images["y"])], dim=1)
        torch.testing.assert_close(network(images), network.output(network.hidden(features)))  # type: ignore[operator]


def test_a_shared_tower_needs_views_of_one_shape() -> None:
    with pytest.raises(ConfigError, match=r"shared_towers needs views of one shape.*side \(10, 14\)"):
        build_network("residual_cnn", {"shared_towers": True}, (SQUARE, OBLONG), 1, 1)


@pytest.mark.parametrize("name", [name for name in MODELS if 3 not in MODELS[name].n_axes])
def test_flat_networks_refuse_volumes(name: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"{name} takes no view of 3 axes; 'tank' .*do: residual_cnn, dense, logistic"
    ):
        build_network(name, {}, (TANK,), 1, 1)


def test_stages_without_their_blocks_are_refused() -> None:
    with pytest.raises(ConfigError, match="features and blocks must be as many: 2, 3"):
        build_network("residual_cnn", {"features": [4, 8]}, (TANK,), 1, 1)


def test_flat_views_and_volumes_may_stand_side_by_side() -> None:
    network = in_fast_layout(build_network("residual_cnn", {"stem_stride": 2}, (SQUARE, TANK), 1, 2))
    outputs = network(inputs((SQUARE, TANK), 3))
    outputs.sum().backward()
    assert outputs.shape == (3, 2)
    layouts = {weights.ndim: weights for weights in network.parameters()}
    assert layouts[4].is_contiguous(memory_format=torch.channels_last)
    assert layouts[5].is_contiguous(memory_format=torch.channels_last_3d)


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_volume_keeps_its_places_at_any_stride(stride: int) -> None:
    settings = {"stem_stride": stride, "features": [4, 8], "blocks": [1, 1]}
    network = build_network("residual_cnn", settings, (TANK, BLOCK), 2, 3).eval()
    images = inputs((TANK, BLOCK), 2, 2)
    with torch.no_grad():
        before = network(images)
        images["block"][0, 0, 3, 3, 4] += 5  # the very last voxel of the second view
        changed = network(images)
    assert not torch.equal(before[0], changed[0])
    torch.testing.assert_close(before[1], changed[1])


def test_the_mean_of_a_view_has_fewer_weights_than_its_places() -> None:
    mean = build_network("residual_cnn", {"head": "mean"}, PIXEL_MAPS, 1, 2)
    places = build_network("residual_cnn", {}, PIXEL_MAPS, 1, 2)
    assert count(mean)[0] < count(places)[0] / 4
    assert mean(inputs(PIXEL_MAPS, 2)).shape == (2, 2)
