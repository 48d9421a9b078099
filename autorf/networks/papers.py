"""The networks of the papers that timm and SMP lack, by name."""

from collections.abc import Callable

from torch import nn

from autorf.errors import InputError, near_names
from autorf.networks.drn import DRN, DeepLabV3PlusDRN
from autorf.networks.drn_c import DRNC
from autorf.networks.fcn import DilatedFCN, SkipFCN
from autorf.networks.student import Student


def paper_network(name: str, classes: int, *, pretrained: bool = False) -> nn.Module:
    """The network ``paper:NAME``.

    Args:
        name: one of :data:`PAPER_NETWORKS`.
        classes: channels of the output.
        pretrained: load timm's weights into the backbone; DRN has none there.

    Raises:
        InputError: for another name, or weights that nobody publishes where we could fetch them.
    """
    check_paper_name(name)
    if pretrained and "drn" in name:
        raise InputError(
            f"model.pretrained: nothing publishes weights of {name} as safetensors; load your checkpoint with "
            "load_state_dict (keys are those of the authors' files), and set pretrained: false"
        )
    return PAPER_NETWORKS[name](classes, pretrained)


def check_paper_name(name: str) -> None:
    """Raise ``InputError`` for a name that is none of the papers' networks, with near names."""
    if name not in PAPER_NETWORKS:
        names = ", ".join(PAPER_NETWORKS)
        raise InputError(f"model.name: no paper's network {name!r}{near_names(name, PAPER_NETWORKS)}; one of {names}")


def _fcn_resnet101(classes: int, pretrained: bool) -> nn.Module:
    import timm

    backbone = timm.create_model(
        "resnet101", pretrained=pretrained, features_only=True, out_indices=(4,), output_stride=8
    )
    return DilatedFCN(backbone, backbone.feature_info.channels()[-1], classes)


def _vgg16_fcn(skips: bool) -> Callable[[int, bool], nn.Module]:
    def make(classes: int, pretrained: bool) -> nn.Module:
        import timm

        return SkipFCN(timm.create_model("vgg16", pretrained=pretrained), classes, skips=skips)

    return make


def _student(pool2_stride: int) -> Callable[[int, bool], nn.Module]:
    def make(classes: int, pretrained: bool) -> nn.Module:
        student = Student(classes, pool2_stride=pool2_stride)
        if pretrained:
            import timm

            teacher = timm.create_model("vgg16", pretrained=True).features[:4]
            student.features.load_state_dict(teacher.state_dict())
        return student

    return make


PAPER_NETWORKS: dict[str, Callable[[int, bool], nn.Module]] = {
    "fcn_resnet101": _fcn_resnet101,
    "fcn32s_vgg16": _vgg16_fcn(skips=False),
    "fcn8s_vgg16": _vgg16_fcn(skips=True),
    "student": _student(pool2_stride=1),
    "student_stride8": _student(pool2_stride=2),
    "drn_d_54": lambda classes, pretrained: DRN(classes=classes),
    "drn_c_26": lambda classes, pretrained: DRNC(classes=classes),
    "deeplabv3plus_drn_d_54": lambda classes, pretrained: DeepLabV3PlusDRN(DRN(), classes),
}
"""Name to a function of the number of classes and whether to load weights."""
