"""ADE20K as the SceneParsing benchmark lays it out."""

from autorf.data.decoding import Decoder
from autorf.data.mask_table import IGNORED
from autorf.data.names import on_disk
from autorf.data.official import Layout
from autorf.data.pairs import Pair, find_pairs
from autorf.data.picture_cache import PictureCache
from autorf.data.reading import read_splits
from autorf.data.scene_spec import Ade20kData
from autorf.data.segmentation_set import SegmentationSet

CLASS_NAMES: tuple[str, ...] = tuple(
    """
wall, building, sky, floor, tree, ceiling, road, bed, windowpane, grass, cabinet, sidewalk, person, earth, door, table,
mountain, plant, curtain, chair, car, water, painting, sofa, shelf, house, sea, mirror, rug, field, armchair, seat,
fence, desk, rock, wardrobe, lamp, bathtub, railing, cushion, base, box, column, signboard, chest of drawers, counter,
sand, sink, skyscraper, fireplace, refrigerator, grandstand, path, stairs, runway, case, pool table, pillow,
screen door, stairway, river, bridge, bookcase, blind, coffee table, toilet, flower, book, hill, bench, countertop,
stove, palm, kitchen island, computer, swivel chair, boat, bar, arcade machine, hovel, bus, towel, light, truck, tower,
chandelier, awning, streetlight, booth, television receiver, airplane, dirt track, apparel, pole, land, bannister,
escalator, ottoman, bottle, buffet, poster, stage, van, ship, fountain, conveyer belt, canopy, washer, plaything,
swimming pool, stool, barrel, basket, waterfall, tent, bag, minibike, cradle, oven, ball, food, step, tank, trade name,
microwave, pot, animal, bicycle, lake, dishwasher, screen, blanket, sculpture, hood, sconce, vase, traffic light, tray,
ashcan, fan, pier, crt screen, plate, monitor, bulletin board, shower, radiator, glass, clock, flag
""".replace("\n", " ")
    .strip()
    .split(", ")
)
"""The first of the names that the benchmark's objectInfo150.txt gives each class."""

SPLITS = {"train": "training", "val": "validation"}
LAYOUT = Layout(("images", "annotations"), "ADEChallengeData2016.zip, the MIT Scene Parsing Benchmark (SceneParse150)")


def ade20k_sets(spec: Ade20kData, cache: PictureCache | None = None) -> dict[str, SegmentationSet]:
    """The official training and validation splits.

    Raises:
        InputError: when the layout or a file is not as it must be.
    """
    return read_splits(ade20k_pairs(spec), ade20k_decoder(spec), own_masks=spec.score_at == "mask", cache=cache)


def ade20k_decoder(spec: Ade20kData) -> Decoder:
    """What reads a picture and its annotation."""
    return Decoder(spec.image_size, len(CLASS_NAMES), IGNORED, spec.fit, pictures=spec.pictures, table=spec.mask_table)


def ade20k_pairs(spec: Ade20kData) -> dict[str, list[Pair]]:
    """The files of every split.

    Raises:
        InputError: when the layout is not as it must be.
    """
    root = on_disk(spec.root)
    LAYOUT.check(root)
    layout, names = "{images,annotations}/{training,validation}", spec.pictures.names
    return {
        split: find_pairs(root / "images" / folder, root / "annotations" / folder, layout, names)
        for split, folder in SPLITS.items()
    }
