import pytest
from torch import nn

from autorf.networks import ModelSpec, build
from autorf.networks.place import Place, place_of


def network(depth: float, name: str = "smp:Unet:resnet18") -> dict[str, object]:
    return {"name": name, "args": {"encoder_depth": depth}}


def test_a_network_has_its_own_place_else_that_of_the_most_similar_of_its_name() -> None:
    places = [Place(network=network(depth), targets=(f"layer{depth}",)) for depth in (3, 4)]
    places.append(Place(network={"name": "smp:Unet:resnet18"}, targets=("plain",)))
    assert place_of(network(4), places) == places[1]
    assert place_of({"name": "smp:Unet:resnet18", "output_stride": 8}, places) == places[2]
    assert place_of(network(3, "smp:FPN:resnet18"), places) is None
    assert place_of(network(3), ()) is None


def test_what_makes_a_network_leaves_its_weights_and_places_out() -> None:
    spec = ModelSpec(name="timm:test_resnet", pretrained=True, args={"drop_rate": 0.1}, places=(Place(network={}),))
    assert spec.network == {"name": "timm:test_resnet", "args": {"drop_rate": 0.1}}


@pytest.mark.parametrize("name", ["smp:Unet:tu-test_resnet", "largefov:test_resnet"])
def test_a_model_offers_the_place_that_is_written_down_unless_it_has_its_own(name: str) -> None:
    place = Place(network={"name": name}, targets=("encoder.a",), region=("encoder.a", "encoder.b"))
    model = build(ModelSpec(name=name, places=(place,)), 3)
    assert isinstance(model, nn.Module)
    own = name.startswith("largefov")
    assert model.receptive_field_layers == (("head.conv6",) if own else ("encoder.a",))
    assert model.receptive_field_regions == ((("head.conv6", "head.output") if own else ("encoder.a", "encoder.b")),)
