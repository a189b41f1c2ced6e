"""Prompt templates: the sentences in which a class name is put before the text encoder sees it.

ImageBind evaluates pictures with the templates of CLIP (Radford et al. 2021); "photo" is the seven of them that CLIP's
authors found to carry most of the gain of all eighty. Its release does not include the sentences used for the other
modalities; those below say in words what the sensor saw. Averaging over templates is done on embeddings.
"""

from __future__ import annotations

from imagebind_node.errors import InvalidInputError
from imagebind_node.samples import Modality

BARE = ("{}",)
TEMPLATES: dict[Modality, tuple[str, ...]] = {
    Modality.VISION: (
        "itap of a {}.",
        "a bad photo of the {}.",
        "a origami {}.",
        "a photo of the large {}.",
        "a {} in a video game.",
        "art of the {}.",
        "a photo of the small {}.",
    ),
    Modality.AUDIO: ("the sound of a {}.", "a recording of a {}.", "{}."),
    Modality.DEPTH: ("a depth image of a {}.", "a photo of a {}.", "a depth map of the {}."),
    Modality.THERMAL: ("a thermal image of a {}.", "an infrared photo of a {}.", "a photo of a {}."),
    Modality.IMU: ("a person who is {}.", "a video of {}.", "{}."),
    Modality.TEXT: BARE,
}


def check_templates(templates: tuple[str, ...]) -> tuple[str, ...]:
    """Return them if there is at least one and each has exactly one {}; raises InvalidInputError."""
    bad = next((t for t in templates if not isinstance(t, str) or t.count("{}") != 1), None)
    if bad is not None or not templates:
        raise InvalidInputError(
            f"a prompt template must hold {{}} once, for the class name: {bad!r} does not"
        )
    return tuple(templates)
