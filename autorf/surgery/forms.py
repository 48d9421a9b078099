"""How a saved model's record describes what ``freeze`` made."""

from autorf.specification import PositiveFloat, PositiveInt, Specification


class FrozenConvolution(Specification):
    """A plain convolution that ``freeze`` made."""

    dilation: tuple[PositiveInt, PositiveInt]


class FrozenRegion(Specification):
    """A region that ``freeze`` gave a constant factor."""

    factor: PositiveFloat | tuple[PositiveFloat, PositiveFloat]

    @property
    def pair(self) -> tuple[float, float]:
        """The factors of height and width."""
        return self.factor if isinstance(self.factor, tuple) else (self.factor, self.factor)


Form = FrozenConvolution | FrozenRegion
