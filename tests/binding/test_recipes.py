"""The recipes that ship, and what is refused in one."""

from __future__ import annotations

import pytest

from imagebind_node.binding.recipe import bundled_recipes, parse_recipe, read_recipe
from imagebind_node.errors import InvalidInputError


def test_bundled_recipes_can_be_read_and_built():
    from imagebind_node.binding.augmentations import build_augmentation
    from imagebind_node.binding.preprocessing import build_preprocessing

    found = bundled_recipes()
    for sense in ("audio", "depth", "thermal", "imu"):
        assert {sense, f"{sense}_small"} <= set(found)
    for name in found:
        recipe = read_recipe(name)
        build_preprocessing(recipe.preprocessing)
        build_augmentation(recipe.augmentations)
        assert recipe.note


@pytest.mark.parametrize(
    ("name", "rate", "decay", "batch", "clip", "replication", "epochs", "drop_path", "temperature"),
    [
        ("audio", 1.6e-3, 0.2, 2048, 1.0, 1.25, 64, 0.1, 0.05),
        ("depth", 1.6e-3, 0.2, 512, 1.0, 50, 64, 0.0, 0.2),
        ("thermal", 5e-4, 0.05, 512, 5.0, 25, 64, 0.0, 0.1),
        ("imu", 5e-4, 0.5, 512, 1.0, 1.0, 8, 0.7, 0.2),
    ],
)
def test_large_recipes_are_those_of_the_paper(
    name, rate, decay, batch, clip, replication, epochs, drop_path, temperature
):
    """Girdhar et al. 2023, Table 9."""
    recipe = read_recipe(name)
    training = recipe.training
    assert (training.learning_rate, training.weight_decay, training.batch) == (rate, decay, batch)
    assert (training.clip, training.replication, training.epochs) == (clip, replication, epochs)
    assert (training.betas, training.warmup_epochs) == ((0.9, 0.95), 2)
    assert (recipe.tower["drop_path"], recipe.loss.temperature) == (drop_path, temperature)
    assert (recipe.loss.learn_temperature, recipe.loss.contrastive) == (False, 2.0)
    assert recipe.anchor.model == "imagebind_huge"


def test_large_recipes_augment_pictures_as_the_paper_does():
    """Girdhar et al. 2023, Table 9: depth and thermal strongly, sound and motion by crops alone."""
    for name in ("depth", "thermal"):
        views = read_recipe(name).views
        assert (views.flip, views.erase, views.rand_augment, views.jitter) == (0.5, 0.25, 9, 0.4)
        assert views.aligned and views.count
    for name in ("audio", "imu"):
        views = read_recipe(name).views
        assert (views.flip, views.erase, views.rand_augment, views.jitter) == (0, 0, 0, 0)
        assert not views.aligned and views.count


@pytest.mark.parametrize(
    ("views", "says"),
    [
        ({"count": -1}, "count"),
        ({"count": 2, "scale": [0.5, 0.1]}, "scale"),
        ({"count": 2, "scale": [0.5]}, "scale"),
        ({"count": 2, "ratio": [0, 1]}, "ratio"),
        ({"count": 2, "flip": 1.5}, "flip"),
        ({"count": 2, "rand_augment": 11}, "rand_augment"),
        ({"count": 2, "frame": "middle"}, "frame"),
        ({"number": 2}, "unknown entries number"),
    ],
)
def test_views_that_cannot_be_are_refused(views, says):
    with pytest.raises(InvalidInputError, match=says):
        parse_recipe({"modality": "grid", "tower": {"name": "conv1d"}, "views": views})


def test_views_are_of_pictures_only():
    document = {"modality": "grid", "tower": {"name": "conv1d"}, "views": {"count": 2}}
    with pytest.raises(InvalidInputError, match="the anchor is text"):
        parse_recipe({**document, "anchor": {"modality": "text"}})
