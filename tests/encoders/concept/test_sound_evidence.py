from __future__ import annotations

import pytest
import torch

from imagebind_node.encoders.concept.sound_evidence import SoundEvidence

# 0 Animal (a realm) > 1 Bird > 2 Owl; 3 Noise
CLASSES = {
    "audio_weights": [0.1, 1, 1, 0],
    "audio_noise": [3],
    "audio_families": [[0, 1, 2], [1, 2, 2]],
}
CONSTANTS = {"audio_family_discount": 0.5, "audio_noise_factor": 2.0}


def test_a_kind_takes_from_its_family():
    weights = SoundEvidence(CLASSES, CONSTANTS).weights(torch.tensor([0.9, 0.8, 0.6, 0.3]))
    assert weights.tolist() == pytest.approx([0.1 * (0.9 - 0.4), 0.8 - 0.3, 0.6, 0.0])


def test_a_family_alone_stays_and_weights_are_never_negative():
    weights = SoundEvidence(CLASSES, CONSTANTS).weights(
        torch.tensor([[0.0, 0.8, 0.0, 0.0], [0.0, 0.1, 1.0, 0.0]])
    )
    assert weights[0].tolist() == pytest.approx([0.0, 0.8, 0.0, 0.0])
    assert weights[1].tolist() == pytest.approx([0.0, 0.0, 1.0, 0.0])


def test_noise_takes_confidence():
    evidence = SoundEvidence(CLASSES, CONSTANTS)
    assert float(evidence.confidence(torch.tensor([0.0, 0.0, 0.7, 0.1]))) == pytest.approx(0.5)
    assert float(evidence.confidence(torch.tensor([0.0, 0.0, 0.7, 0.6]))) == 0.0
