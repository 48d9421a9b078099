import copy
import pickle
from functools import partial

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional

from autorf.errors import InputError
from autorf.fields import receptive_field
from autorf.methods import PixelAdaptive
from autorf.methods.pixel_adaptive import PixelAdaptiveConv2d
from autorf.ops.reference import pixel_adaptive_conv2d_reference
from autorf.specification import parse, with_older_fields
from autorf.surgery import adapt, advance, describe, learned_values, parameter_groups

IMAGE = torch.randn(2, 4, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
CHAIN = ("0", "2", "4")
close = partial(torch.testing.assert_close, rtol=0, atol=1e-10)


def network(groups: int = 1) -> nn.Sequential:
    torch.manual_seed(0)
    layers = [nn.Conv2d(4, 4, 3, padding=rate, dilation=rate, groups=groups) for rate in (2, 1, 1)]
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2]).double()


def adapted(targets: tuple[str, ...] = ("0",), model: nn.Sequential | None = None, **fields: object) -> nn.Sequential:
    model = model or network()
    adapt(model, PixelAdaptive(targets=targets, **fields))  # type: ignore[arg-type]
    return model


def layer_of(model: nn.Module, name: str = "0") -> PixelAdaptiveConv2d:
    layer = model.get_submodule(name)
    assert isinstance(layer, PixelAdaptiveConv2d)
    return layer


def under_way(targets: tuple[str, ...] = ("0",), **fields: object) -> nn.Sequential:
    """In evaluation, with choices that differ from pixel to pixel."""
    model = adapted(targets, sigma=0.5, **fields)
    advance(model, 0, 10)
    return model.eval()


def mixed_by_loops(weight: Tensor, map: Tensor) -> Tensor:
    """A 1x1 convolution, pixel by pixel."""
    output = map.new_zeros(len(map), len(weight), *map.shape[2:])
    for n in range(len(map)):
        for y in range(map.shape[2]):
            for x in range(map.shape[3]):
                for option in range(len(weight)):
                    output[n, option, y, x] = (weight[option, :, 0, 0] * map[n, :, y, x]).sum()
    return output


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("aggregation", ["markov", "gated"])
def test_before_training_it_is_the_plain_convolution_to_the_last_bit(training: bool, aggregation: str) -> None:
    model = network().train(training)
    with torch.no_grad():
        before = model(IMAGE)
        adapted(CHAIN, model, sigma=0.5, aggregation=aggregation)
        assert torch.equal(model(IMAGE), before)
    shares = {"share_1": 2 / 3, "share_2": 1 / 3, "share_4": 0}
    each = {"dilation.1": 2, "dilation.2": 1, "dilation.3": 1}
    means = {"dilation": 4 / 3, "dilation_variance": 0, "expected_dilation": 4 / 3}
    assert learned_values(model) == pytest.approx({**means, **shares, **each})
    assert layer_of(model).dilation_map is None


def test_a_loop_that_never_calls_advance_learns_too() -> None:
    model = adapted().train()
    model(IMAGE).square().sum().backward()
    weight = layer_of(model).get_parameter("option_weight")
    assert not layer_of(model).idle
    assert weight.grad is not None
    assert weight.grad.any()


@pytest.mark.parametrize("activation", ["leaky_relu", "relu", "tanh"])
def test_markov_logits_are_one_activated_product_with_the_input(activation: str) -> None:
    layer = layer_of(under_way(activation=activation))
    product = mixed_by_loops(layer.get_parameter("option_weight"), IMAGE)
    close(layer.logits(IMAGE, None), getattr(functional, activation)(product))


def test_recurrent_logits_add_the_previous_layers() -> None:
    layer = layer_of(under_way(CHAIN, aggregation="recurrent"), "2")
    previous = torch.randn(2, 3, 7, 9, dtype=torch.float64)
    total = mixed_by_loops(layer.get_parameter("previous_weight"), previous)
    total += mixed_by_loops(layer.get_parameter("option_weight"), IMAGE)
    close(layer.logits(IMAGE, previous), functional.leaky_relu(total))


def test_gated_logits_weigh_the_previous_layers_against_the_inputs() -> None:
    layer = layer_of(under_way(CHAIN, aggregation="gated"), "2")
    previous = torch.randn(2, 3, 7, 9, dtype=torch.float64)
    gate = mixed_by_loops(layer.get_parameter("gate_previous_weight"), previous)
    gate = 1 / (1 + (-gate - mixed_by_loops(layer.get_parameter("gate_weight"), IMAGE)).exp())
    before = mixed_by_loops(layer.get_parameter("previous_weight"), previous)
    here = mixed_by_loops(layer.get_parameter("option_weight"), IMAGE)
    close(layer.logits(IMAGE, previous), functional.leaky_relu(gate * before + (1 - gate) * here))


@pytest.mark.parametrize("aggregation", ["recurrent", "gated"])
def test_every_layer_of_a_chain_gets_the_logits_of_the_one_before(aggregation: str) -> None:
    model = under_way(CHAIN, aggregation=aggregation, sampling="soft", evaluation="expected")
    first, second, third = (layer_of(model, name) for name in CHAIN)
    h1 = first.logits(IMAGE, None)
    y1 = model[1](pixel_adaptive_conv2d_reference(IMAGE, first.weight, first.bias, h1.softmax(1), (1, 2, 4)))
    h2 = second.logits(y1, h1)
    y2 = model[3](pixel_adaptive_conv2d_reference(y1, second.weight, second.bias, h2.softmax(1), (1, 2, 4)))
    h3 = third.logits(y2, h2)
    expected = pixel_adaptive_conv2d_reference(y2, third.weight, third.bias, h3.softmax(1), (1, 2, 4))
    close(model(IMAGE), expected)


@pytest.mark.parametrize(
    ("aggregation", "first", "later"), [("markov", 12, 12), ("recurrent", 12, 21), ("gated", 12, 42)]
)
def test_a_markov_layer_adds_options_times_input_channels_parameters(aggregation: str, first: int, later: int) -> None:
    model = adapted(CHAIN, aggregation=aggregation)
    own = [sum(p.numel() for rule in layer_of(model, name).learning_rules() for p in rule.parameters) for name in CHAIN]
    assert own == [first, later, later]


def test_a_resnet50_with_three_markov_layers_grows_by_1152_parameters() -> None:
    model = timm.create_model("resnet50", num_classes=2)
    before = sum(p.numel() for p in model.parameters())
    adapt(model, PixelAdaptive(targets=r"layer2\.[123]\.conv2"))
    assert sum(p.numel() for p in model.parameters()) - before == 1152


@pytest.mark.parametrize("groups", [1, 4])
def test_a_hard_choice_is_the_convolution_of_that_dilation_at_each_pixel(groups: int) -> None:
    layer = layer_of(under_way(model=network(groups), evaluation="hard"))
    output, choice = layer(IMAGE), layer.logits(IMAGE, None).argmax(1)
    assert len(choice.unique()) == 3
    for option, rate in enumerate((1, 2, 4)):
        plain = functional.conv2d(IMAGE, layer.weight, layer.bias, padding=rate, dilation=rate, groups=groups)
        chosen = (choice == option).unsqueeze(1).expand_as(plain)
        close(output[chosen], plain[chosen])


def test_training_mixes_a_gumbel_sample_at_the_present_temperature() -> None:
    layer = layer_of(under_way(sampling="soft", temperature=(0.7, 0.2))).train()
    logits = layer.logits(IMAGE, None)
    torch.manual_seed(3)
    output = layer(IMAGE)
    torch.manual_seed(3)
    noise = -torch.empty_like(logits).exponential_().log()
    sample = ((logits + noise) / 0.7).softmax(1)
    close(output, pixel_adaptive_conv2d_reference(IMAGE, layer.weight, layer.bias, sample, (1, 2, 4)))


def test_training_is_reproducible_and_random() -> None:
    outputs = []
    for seed in (1, 1, 2):
        model = adapted(sampling="soft")
        torch.manual_seed(seed)
        optimizer = torch.optim.SGD(parameter_groups(model, lr=0.1))
        for step in range(2):
            advance(model, step, 2)
            optimizer.zero_grad()
            model(IMAGE).square().mean().backward()
            optimizer.step()
        outputs.append(model.eval()(IMAGE))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


def test_one_option_is_the_plain_convolution() -> None:
    model = network()
    before = model(IMAGE)
    adapted(model=model, rates=(2,))
    advance(model, 0, 10)
    close(model(IMAGE), before)


def test_the_temperature_falls_geometrically() -> None:
    model = adapted(temperature=(2.0, 0.5))
    found = []
    for step in (0, 50, 100):
        advance(model, step, 100)
        found.append(layer_of(model).temperature)
    assert found == pytest.approx([2, 1, 0.5])


@pytest.mark.parametrize("aggregation", ["markov", "recurrent", "gated"])
def test_gradients_reach_every_weight_of_the_chain(aggregation: str) -> None:
    model = adapted(CHAIN, aggregation=aggregation)
    advance(model, 0, 10)
    model(IMAGE).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name


def test_logits_of_another_size_are_resized() -> None:
    class Halving(nn.Sequential):
        def forward(self, input: Tensor) -> Tensor:
            output: Tensor = self[2](functional.avg_pool2d(self[0](input), 2, ceil_mode=True))
            return output

    model = adapted(
        ("0", "2"), Halving(*network()), aggregation="recurrent", sampling="soft", evaluation="expected"
    ).eval()
    advance(model, 0, 10)
    first, second = layer_of(model), layer_of(model, "2")
    halved = functional.avg_pool2d(first(IMAGE), 2, ceil_mode=True)
    h1 = functional.interpolate(first.logits(IMAGE, None), size=(4, 5), mode="bilinear", align_corners=False)
    share = second.logits(halved, h1).softmax(1)
    close(model(IMAGE), pixel_adaptive_conv2d_reference(halved, second.weight, second.bias, share, (1, 2, 4)))


def test_a_chain_whose_layers_cannot_see_each_other_is_refused() -> None:
    class Backwards(nn.Sequential):
        def forward(self, input: Tensor) -> Tensor:
            return self[0](self[2](input))  # type: ignore[no-any-return]

    model = Backwards(*network())
    method = PixelAdaptive(targets=("0", "2"), aggregation="gated")
    with pytest.raises(InputError, match="layer '2' got no map from '0', which must run before it"):
        adapt(model, method, example_input=IMAGE)
    assert type(model[0]) is nn.Conv2d
    with pytest.raises(InputError, match="layer '2' got no map"):
        adapt(model, method)(IMAGE)
    markov = Backwards(*network())
    adapt(markov, PixelAdaptive(targets=("0", "2")), example_input=IMAGE)
    advance(markov, 0, 10)
    assert markov(IMAGE).shape == IMAGE.shape


def test_logits_of_one_pass_are_never_used_in_the_next() -> None:
    model = under_way(CHAIN, aggregation="recurrent")
    model(IMAGE)
    with pytest.raises(InputError, match="layer '2' got no map"):
        model[2](IMAGE)


def test_copies_pickles_and_state_dicts_keep_the_chain() -> None:
    model, other = under_way(CHAIN, aggregation="gated"), adapted(CHAIN, aggregation="gated")
    expected = model(IMAGE)
    other.load_state_dict(model.state_dict())
    model[0](IMAGE)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), other.eval()):
        assert torch.equal(twin(IMAGE), expected)
        assert layer_of(twin).outlet is layer_of(twin, "2").inlet
        assert layer_of(twin).outlet is not layer_of(model).outlet
        assert layer_of(twin).values() == layer_of(model).values()


@pytest.mark.parametrize("evaluation", ["hard", "expected"])
def test_maps_values_and_field_describe_the_one_network_that_evaluation_uses(evaluation: str) -> None:
    model = under_way(sampling="soft", evaluation=evaluation)
    layer = layer_of(model)
    model(IMAGE)
    logits = layer.logits(IMAGE, None)
    probabilities, choice = logits.softmax(1), logits.argmax(1)
    expected = probabilities[:, 0] + 2 * probabilities[:, 1] + 4 * probabilities[:, 2]
    map = expected if evaluation == "expected" else torch.tensor([1.0, 2, 4], dtype=torch.float64)[choice]
    assert layer.dilation_map is not None
    close(layer.dilation_map, map.unsqueeze(1))
    values = layer.values()
    assert values["dilation"] == pytest.approx(map.mean().item())
    assert values["dilation_variance"] == pytest.approx(map.var(correction=0).item())
    assert values["expected_dilation"] == pytest.approx(expected.mean().item())
    assert layer.shares() == pytest.approx(
        {rate: (choice == option).double().mean().item() for option, rate in enumerate((1, 2, 4))}
    )
    assert f"dilation {values['dilation']:.4g}" in str(describe(model))
    field = receptive_field(model, (64, 64), in_channels=4)
    assert field.size[0] == pytest.approx(1 + 2 * values["dilation"] + 2 + 2, abs=0.01)


@pytest.mark.parametrize(
    ("evaluation", "reported"), [("hard", "mean"), ("expected", "mean"), ("hard", "max"), ("expected", "max")]
)
def test_the_receptive_field_follows_what_evaluation_uses(evaluation: str, reported: str) -> None:
    model = under_way(evaluation=evaluation, reported=reported)
    model(IMAGE)
    layer = layer_of(model)
    chosen = sum(rate * share for rate, share in layer.shares().items())
    dilation = {"hard": chosen, "expected": layer.values()["dilation"]}[evaluation] if reported == "mean" else 4.0
    field = receptive_field(model, (64, 64), in_channels=4)
    assert field.size[0] == pytest.approx(1 + 2 * dilation + 2 + 2, abs=0.01)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rates": [2, 1]}, "increasing positive integers"),
        ({"rates": []}, "increasing positive integers"),
        ({"rates": [1, 0.5]}, "positive integer"),
        ({"aggregation": "lstm"}, "aggregation: must be 'markov', 'recurrent' or 'gated', got 'lstm'"),
        ({"evaluation": "soft"}, "evaluation: must be 'hard' or 'expected'"),
        ({"activation": "gelu"}, "activation: must be 'leaky_relu', 'relu' or 'tanh'"),
        ({"temperature": [1, 0]}, "temperature.1: must be greater than 0, got 0"),
        ({"temperature": [-1, 1]}, "temperature.0: must be greater than 0"),
        ({"temperature": [1, 1e-9]}, "temperature.1: must be greater than or equal to 0.001"),
        ({"temperature": 1}, "two numbers, at the start and at the end"),
        ({"rates": [1, 2**31]}, "at most 65536"),
        ({"sigma": 0}, "sigma: must be greater than 0"),
        ({"options": [1, 2]}, "unknown key"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        parse(PixelAdaptive, fields, "space.yaml")
    assert "\n" not in str(caught.value)


def test_a_layer_whose_dilation_is_no_option_is_refused_with_the_repair() -> None:
    with pytest.raises(InputError, match=r"layer '0' has dilation 2, which is not among .*; set rates=\[1, 2, 3\]"):
        adapted(rates=(1, 3))
    with pytest.raises(InputError, match=r"layer '0' has stride \(3, 3\); only stride 1 or 2 is supported"):
        adapted(model=nn.Sequential(nn.Conv2d(3, 3, 3, stride=3, padding=1)))


def halving(side: int, groups: int = 1) -> tuple[nn.Conv2d, Tensor]:
    torch.manual_seed(0)
    image = torch.randn(2, 4, side, side + 3, dtype=torch.float64)
    return nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=groups).double(), image


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize("evaluation", ["hard", "expected"])
def test_a_layer_of_stride_2_is_every_second_position_of_the_operator(side: int, groups: int, evaluation: str) -> None:
    """PAD-Nets 2020, the classification tables change a layer of stride 2."""
    plain, image = halving(side, groups)
    before = plain(image)
    model = adapted(model=nn.Sequential(plain), sigma=0.5, evaluation=evaluation).eval()
    assert torch.equal(model(image), before)
    advance(model, 0, 10)
    layer = layer_of(model)
    output, probabilities = model(image), layer.probabilities(layer.logits(image, None))
    reference = pixel_adaptive_conv2d_reference(image, layer.weight, layer.bias, probabilities, (1, 2, 4), groups)
    close(output, reference[:, :, ::2, ::2])
    assert layer.dilation_map is not None
    assert layer.dilation_map.shape[2:] == output.shape[2:]
    assert layer.values()["dilation"] == pytest.approx(layer.dilation_map.mean().item())
    model.train()(image).sum().backward()
    assert layer.get_parameter("option_weight").grad.any()


def test_the_field_of_a_layer_of_stride_2_is_that_of_its_dilation() -> None:
    def model(dilation: int) -> nn.Sequential:
        first = nn.Conv2d(3, 4, 3, stride=2, padding=dilation, dilation=dilation)
        return nn.Sequential(first, nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))

    for rate in (1, 2):
        plain = receptive_field(model(rate), (64, 64))
        changed = receptive_field(adapted(model=model(rate)), (64, 64))
        assert (changed.size, changed.stride) == (plain.size, plain.stride)
    learned = adapted(model=model(1)).eval()
    advance(learned, 0, 10)
    learned(torch.randn(1, 3, 64, 64))
    dilation = learned_values(learned)["dilation"]
    assert receptive_field(learned, (64, 64)).size[0] == pytest.approx(1 + 2 * dilation + 2 * 2, abs=0.01)


def test_the_stride_2_layer_of_mobilenets_classification_table_is_adapted() -> None:
    model = timm.create_model("mobilenetv2_100", num_classes=3).eval()
    image = torch.randn(1, 3, 64, 64)
    before = model(image)
    adapt(model, PixelAdaptive(targets=r"blocks\.2\.\d\.conv_dw"))
    assert torch.equal(model(image), before)
    advance(model, 0, 10)
    assert model(image).shape == before.shape


def test_stride_2_with_padding_that_follows_the_images_size_is_refused() -> None:
    layer = timm.layers.Conv2dSame(4, 4, 3, stride=2)
    with pytest.raises(InputError, match="layer '0' has stride 2 and pads one side more than the other"):
        adapted(model=nn.Sequential(layer))


def training_layer(**fields: object) -> PixelAdaptiveConv2d:
    """In training, with choices that differ from pixel to pixel."""
    model = under_way(**fields).train()
    torch.manual_seed(0)
    return layer_of(model)


def test_straight_through_samples_are_single_options_with_the_samples_gradient() -> None:
    layer, soft = training_layer(sampling="straight_through"), training_layer(sampling="soft")
    logits = layer.logits(IMAGE, None).detach()
    gradients = []
    for each in (layer, soft):
        torch.manual_seed(1)
        own = logits.clone().requires_grad_()
        sample = each.probabilities(own)
        gradients.append(torch.autograd.grad((sample * torch.arange(3.0).view(1, 3, 1, 1)).sum(), own)[0])
        if each is layer:
            close(sample.max(1).values, torch.ones_like(sample[:, 0]))
            close(sample.sum(1), torch.ones_like(sample[:, 0]))
    close(gradients[0], gradients[1])
    assert gradients[0].abs().max() > 0


@pytest.mark.parametrize("sampling", ["none", "straight_through", "soft"])
def test_a_temperature_near_zero_is_the_dense_reference_of_one_option_a_pixel(sampling: str) -> None:
    layer = training_layer(sampling=sampling, temperature=(1e-3, 1e-3))
    torch.manual_seed(1)
    output = layer(IMAGE)
    torch.manual_seed(1)
    logits = layer.logits(IMAGE, None)
    if sampling != "none":
        logits = logits - torch.empty_like(logits).exponential_().log()
    choice = functional.one_hot(logits.argmax(1), 3).movedim(3, 1).double()
    expected = pixel_adaptive_conv2d_reference(IMAGE, layer.weight, layer.bias, choice, (1, 2, 4))
    # A pixel whose two best options differ by less than the temperature is a mixture still.
    top = logits.topk(2, 1).values
    sure = (top[:, 0] - top[:, 1] > 0.05).unsqueeze(1).expand_as(output)
    assert sure.double().mean() > 0.5
    torch.testing.assert_close(output[sure], expected[sure], rtol=0, atol=1e-6)


def test_without_noise_training_ends_as_the_expected_evaluation_which_the_weights_alone_decide() -> None:
    layer = training_layer(sampling="none", temperature=(1.0, 0.1), evaluation="expected")
    evaluated = layer.eval()(IMAGE)
    assert not torch.allclose(layer.train()(IMAGE), evaluated)
    layer.advance(1)
    close(layer(IMAGE), evaluated)
    close(layer.eval()(IMAGE), evaluated)
    shares = layer.probabilities(layer.logits(IMAGE, None))
    told = shares[:, 0] + 2 * shares[:, 1] + 4 * shares[:, 2]
    assert layer.values()["dilation"] == pytest.approx(told.mean().item())


@pytest.mark.parametrize("evaluation", ["hard", "expected"])
def test_behind_the_sampled_share_training_takes_what_evaluation_takes(evaluation: str) -> None:
    model = under_way(sampling="soft", sampled=0.5, evaluation=evaluation).train()
    evaluated = model.eval()(IMAGE)
    model.train()
    assert not torch.allclose(model(IMAGE), evaluated)
    advance(model, 5, 10)
    output = model(IMAGE)
    close(output, evaluated)
    output.square().sum().backward()
    gradient = layer_of(model).get_parameter("option_weight").grad
    assert gradient is not None
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("sampling", ["none", "soft"])
@pytest.mark.parametrize("start", ["own", "uniform"])
def test_gradients_are_those_of_the_dense_reference(sampling: str, start: str) -> None:
    layer = training_layer(sampling=sampling, start=start)
    results = []
    for dense in (False, True):
        torch.manual_seed(2)
        image = IMAGE.clone().requires_grad_()
        if dense:
            shares = layer.probabilities(layer.logits(image, None))
            output = pixel_adaptive_conv2d_reference(image, layer.weight, layer.bias, shares, (1, 2, 4))
        else:
            output = layer(image)
        inputs = [image, *layer.parameters()]
        results.append([output, *torch.autograd.grad(output.square().sum(), inputs)])
    for fast, slow in zip(*results, strict=True):
        close(fast, slow)


@pytest.mark.parametrize(("activation", "share"), [("leaky_relu", 0.9), ("relu", 0.9), ("tanh", 0.57)])
def test_it_can_start_at_the_layers_own_dilation(activation: str, share: float) -> None:
    model = adapted(start="own", activation=activation, sigma=1e-6, evaluation="hard")
    layer = layer_of(model)
    torch.testing.assert_close(layer.logits(IMAGE, None).softmax(1)[:, 1].mean().item(), share, rtol=0, atol=0.01)
    advance(model, 0, 10)
    model.eval()(IMAGE)
    assert learned_values(model)["dilation"] == 2  # the layer's own, at every pixel
    groups = parameter_groups(model, lr=1e-3, weight_decay=0.1)
    assert any(layer.get_parameter("option_bias") is p for p in groups[-1]["params"])
    assert groups[-1]["weight_decay"] == 0
    other = adapted(start="own", activation=activation, evaluation="hard")
    other.load_state_dict(model.state_dict())
    close(other.eval()(IMAGE), model(IMAGE))


def test_by_default_there_is_no_noise_no_hard_choice_and_no_bias() -> None:
    assert PixelAdaptive() == PixelAdaptive(sampling="none", sampled=1.0, start="uniform", evaluation="expected")
    assert "0.option_bias" not in adapted().state_dict()


def test_what_earlier_versions_wrote_without_a_word_of_it_is_the_papers_setting() -> None:
    written = with_older_fields(PixelAdaptive, {"method": "pixel_adaptive", "rates": (1, 2)})
    assert PixelAdaptive(**written) == PixelAdaptive(rates=(1, 2), sampling="soft", evaluation="hard")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sampling": "hard"}, "'soft', 'straight_through' or 'none'"),
        ({"sampled": 1.5}, "sampled"),
        ({"start": 2}, "start"),
    ],
)
def test_a_wrong_way_to_sample_is_named(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse(PixelAdaptive, fields, "space.yaml")
