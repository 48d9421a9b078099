import numpy as np
import pytest
import torch
from PIL import Image

from autorf.data.decoding import Decoder
from autorf.data.pairs import Pair
from autorf.errors import InputError

SIZE = (6, 8)


@pytest.fixture
def pair(tmp_path):
    """A readable pair of 6 x 8 pixels with classes 0 to 2."""
    pair = Pair(tmp_path / "a.png", tmp_path / "mask.png")
    Image.fromarray(np.full((*SIZE, 3), 100, np.uint8)).save(pair.image)
    Image.fromarray((np.arange(48) % 3).astype(np.uint8).reshape(SIZE)).save(pair.mask)
    return pair


def decode(pair, **values):
    return Decoder(**{"image_size": SIZE, "n_classes": 3, **values})(pair)


def complaint(pair, **values):
    with pytest.raises(InputError) as error:
        decode(pair, **values)
    message = str(error.value)
    assert "\n" not in message
    return message


def save(pixels, file, **options):
    Image.fromarray(pixels).save(file, **options)


def test_a_pair_becomes_eight_bit_tensors(pair):
    image, mask = decode(pair)
    assert image.shape == (3, *SIZE)
    assert mask.shape == SIZE
    assert image.dtype == mask.dtype == torch.uint8
    assert image.eq(100).all()
    assert mask.flatten().tolist() == [i % 3 for i in range(48)]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_images_of_every_kind_of_eight_bit_colours_become_rgb(pair, mode):
    Image.new(mode, SIZE[::-1], "white").save(pair.image)
    assert decode(pair)[0].eq(255).all()


def test_a_palette_image_with_transparency_is_read_in_silence(pair):
    picture = Image.new("P", SIZE[::-1], 1)
    picture.putpalette([0, 0, 0, 10, 20, 30])
    picture.save(pair.image, transparency=b"\x00\xff")
    assert decode(pair)[0][:, 0, 0].tolist() == [10, 20, 30]


def test_a_photograph_is_turned_as_its_camera_says(pair):
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = pair.image.with_suffix(".jpg")
    Image.new("RGB", SIZE).save(sideways, exif=exif)
    assert decode(Pair(sideways, pair.mask))[0].shape == (3, *SIZE)


def test_a_palette_mask_gives_its_indices_not_its_colours(pair):
    indices = Image.new("P", SIZE[::-1])
    indices.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    indices.putdata([i % 3 for i in range(48)])
    indices.save(pair.mask)
    assert decode(pair)[1].flatten().tolist() == [i % 3 for i in range(48)]


def test_a_black_and_white_mask_holds_classes_0_and_1(pair):
    save(np.eye(*SIZE, dtype=bool), pair.mask)
    assert torch.equal(decode(pair)[1], torch.eye(*SIZE, dtype=torch.uint8))


def test_a_mask_is_resized_without_mixing_classes(pair):
    save(np.array([[0, 2], [2, 0]], np.uint8).repeat(3, 0).repeat(4, 1), pair.mask)
    mask = decode(pair, image_size=(12, 16))[1]
    assert torch.equal(
        mask, torch.tensor([[0, 2], [2, 0]], dtype=torch.uint8).repeat_interleave(6, 0).repeat_interleave(8, 1)
    )


def test_a_class_out_of_range_names_file_value_and_range(pair):
    pixels = np.zeros(SIZE, np.uint8)
    pixels[5, 7] = 3
    save(pixels, pair.mask)
    assert complaint(pair) == f"{pair.mask}: holds class 3; legal are 0 to 2; correct the mask or the number of classes"


def test_a_class_out_of_range_is_found_even_where_resizing_would_lose_it(pair):
    pixels = np.zeros(SIZE, np.uint8)
    pixels[1, 1] = 9
    save(pixels, pair.mask)
    assert "holds class 9" in complaint(pair, image_size=(2, 2))


def test_the_ignored_value_is_part_of_the_legal_range(pair):
    pixels = np.full(SIZE, 255, np.uint8)
    pixels[0, 0] = 7
    save(pixels, pair.mask)
    assert "holds class 7; legal are 0 to 2, and 255 for ignored pixels" in complaint(pair, ignore_index=255)


def test_a_mask_of_0_and_255_gets_its_own_advice(pair):
    save((np.arange(48) % 2 * 255).astype(np.uint8).reshape(SIZE), pair.mask)
    assert complaint(pair).endswith("a two-class mask holds 0 and 1, not 0 and 255")


def test_255_beside_other_classes_suggests_to_ignore_it(pair):
    pixels = (np.arange(48) % 3).astype(np.uint8).reshape(SIZE)
    pixels[0] = 255
    save(pixels, pair.mask)
    assert complaint(pair).endswith("if 255 marks pixels without a class, set ignore_index: 255")


def test_a_colour_mask_is_refused_with_the_repair(pair):
    save(np.zeros((*SIZE, 3), np.uint8), pair.mask)
    repair = "map its colours to class indices and save it as 8-bit grey or palette PNG"
    assert complaint(pair) == f"{pair.mask}: is a colour picture (RGB); {repair}"


def test_a_sixteen_bit_mask_that_holds_no_class_is_refused(pair):
    save(np.full(SIZE, 300, np.uint16), pair.mask)
    assert complaint(pair).startswith(f"{pair.mask}: holds the value 300 at 48 pixels; legal are 0 to 2")


def test_a_sixteen_bit_image_is_refused(pair):
    save(np.zeros(SIZE, np.uint16), pair.image)
    assert complaint(pair).startswith(f"{pair.image}: has pixels of kind 'I;16'; save it with 8 bits a channel")


def test_an_image_and_a_mask_of_different_sizes_are_named(pair):
    save(np.zeros((6, 9), np.uint8), pair.mask)
    assert complaint(pair) == (f"{pair.mask}: is 6 x 9 pixels, but its image {pair.image} is 6 x 8; they must agree")


def test_an_image_too_small_to_crop_is_named(pair):
    message = complaint(pair, image_size=(7, 8), fit="crop")
    assert message.startswith(f"{pair.image}: is 6 x 8 pixels, too small to crop 7 x 8")


@pytest.mark.parametrize("which", ["image", "mask"])
@pytest.mark.parametrize("damage", ["text", "empty", "truncated"])
def test_an_unreadable_file_is_named(pair, which, damage):
    file = getattr(pair, which)
    noise = np.random.default_rng(0).integers(0, 3, (*SIZE, 3) if which == "image" else SIZE, dtype=np.uint8)
    save(noise, file)
    content = {"text": b"no picture", "empty": b"", "truncated": file.read_bytes()[:-30]}[damage]
    file.write_bytes(content)
    assert complaint(pair).startswith(f"{file}: cannot be read as a picture: ")


def test_a_folder_in_place_of_a_picture_is_named(pair):
    pair.image.unlink()
    pair.image.mkdir()
    assert complaint(pair).startswith(f"{pair.image}: cannot be read as a picture: ")


def test_a_truncated_jpeg_is_named(pair):
    photograph = pair.image.with_suffix(".jpg")
    save(np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8), photograph)
    photograph.write_bytes(photograph.read_bytes()[:-40])
    assert complaint(Pair(photograph, pair.mask)).startswith(f"{photograph}: cannot be read as a picture: ")
