"""Fusion and change of scene: what goes in, with which weight, and what happens when something is missing."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagebind_node.change import ChangeDetector
from imagebind_node.embedding import Embedding, Space
from imagebind_node.errors import InvalidInputError, SpaceMismatchError
from imagebind_node.fusion import Fusion
from imagebind_node.samples import Modality

SPACE = Space("test", 4)
V, A, D = Modality.VISION, Modality.AUDIO, Modality.DEPTH
START = 1_700_000_000_000_000_000
EAST, NORTH, UP = np.eye(4, dtype=np.float32)[:3]


def at(seconds, modality=V, vector=EAST, confidence=1.0, space=SPACE, **fields):
    return Embedding(vector, modality, space, START + round(seconds * 1e9), confidence=confidence, **fields)


def fusion(**options):
    return Fusion({V: 1.0, A: 1.0, D: 1.0}, **options)


def test_one_sense_alone_is_itself():
    (fused,) = fusion().put(at(0, frame_id="eye"))
    assert fused.embedding.vector == pytest.approx(EAST)
    assert (fused.sources, fused.weights, fused.embedding.frame_id) == (("vision",), (1.0,), "eye")


def test_weight_confidence_and_age_make_the_share():
    made = Fusion({V: 1.0, A: 3.0}, slop=0.1, half_life=1.0)
    made.put(at(0.0, A, NORTH, confidence=0.5))
    (fused,) = made.put(at(1.1, V, EAST, confidence=0.5))
    assert dict(zip(fused.sources, fused.weights)) == pytest.approx({"vision": 0.4, "audio": 0.6})
    assert fused.embedding.vector == pytest.approx(np.array([0.4, 0.6, 0, 0]) / np.hypot(0.4, 0.6), abs=1e-6)
    assert fused.embedding.stamp == START + 1_100_000_000


def test_a_set_waits_for_all_that_are_alive_and_closes_once():
    made = fusion(slop=0.1)
    assert len(made.put(at(0.0, V))) == 1  # nobody else is known
    assert made.put(at(0.01, A, NORTH)) == []  # vision is alive: wait for it
    (fused,) = made.put(at(0.1, V))
    assert set(fused.sources) == {"vision", "audio"} and fused.weights == pytest.approx((0.5, 0.5))
    assert made.flush(START + 10**10) == []


def test_a_sense_that_falls_silent_delays_by_slop_and_then_fades():
    made = fusion(slop=0.1, half_life=0.5, max_age=2.0)
    made.put(at(0.0, V))
    made.put(at(0.01, A, NORTH))
    found = [fused for i in range(1, 50) for fused in made.put(at(i / 10, V))]
    shares = [dict(zip(f.sources, f.weights)).get("audio", 0.0) for f in found]
    assert len(found) >= 40
    assert all(b <= a + 1e-9 for a, b in pairwise(shares))
    assert shares[0] > 0.3 and shares[-1] == 0.0


def test_flush_closes_a_set_that_nobody_completes():
    made = fusion(slop=0.1)
    made.put(at(0.0, A, NORTH))
    assert made.put(at(0.02, V)) == []
    assert made.flush(START + 100_000_000) == []
    (fused,) = made.flush(START + 130_000_000)
    assert set(fused.sources) == {"vision", "audio"}
    assert made.flush(START + 300_000_000) == []


def test_abstained_senses_have_no_weight_and_nothing_confident_abstains():
    made = fusion()
    silent = Embedding(np.zeros(0, np.float32), A, SPACE, START, confidence=0.0, abstained=True)
    (fused,) = made.put(silent)
    assert fused.embedding.abstained and fused.embedding.vector.size == 0 and fused.sources == ()
    found = made.put(at(0.01, V, confidence=0.3)) + made.flush(START + 10**9)
    assert found[-1].sources == ("vision",) and found[-1].embedding.confidence == pytest.approx(0.3)
    unsure = made.put(at(0.5, V, confidence=0.01, abstained=True)) + made.flush(START + 2 * 10**9)
    assert unsure[-1].embedding.abstained


def test_opposites_abstain():
    made = fusion()
    made.put(at(0.0, A, -EAST))
    found = made.put(at(0.01, V, EAST)) + made.flush(START + 10**9)
    assert found[-1].embedding.abstained and found[-1].embedding.vector.size == 0


def test_other_spaces_and_unweighted_modalities_are_refused_and_change_nothing():
    made = fusion()
    made.put(at(0.0))
    with pytest.raises(SpaceMismatchError, match="other"):
        made.put(at(0.1, A, space=Space("other", 4)))
    with pytest.raises(InvalidInputError, match="imu"):
        made.put(at(0.1, Modality.IMU))
    (fused,) = made.put(at(0.2))
    assert fused.sources == ("vision",)


@pytest.mark.parametrize("weights", [{V: -1.0}, {V: float("nan")}, {V: 0.0}, {}])
def test_weights_that_mean_nothing_are_refused(weights):
    with pytest.raises(InvalidInputError, match="weights"):
        Fusion(weights)


@pytest.mark.parametrize("jump", [3600.0, -3600.0])
def test_a_clock_that_jumps_starts_afresh(jump):
    made = fusion()
    made.put(at(0.0, A, NORTH))
    made.put(at(0.0, V))
    found = [f for i in range(1, 5) for m in (A, V) for f in made.put(at(jump + i / 10, m))]
    assert made.restarts == 1 and len(found) >= 3
    assert set(found[-1].sources) == {"audio", "vision"}


def test_repeated_and_late_embeddings_are_counted():
    made = fusion()
    made.put(at(1.0))
    assert made.put(at(1.0)) == [] and made.put(at(0.5)) == []
    assert made.late == 2 and made.restarts == 0


@settings(max_examples=80, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-7200, 7200), st.sampled_from([V, A, D]), st.floats(0, 1), st.booleans()),
        max_size=40,
    )
)
def test_whatever_comes_the_result_is_a_unit_vector_or_abstains(items):
    made = fusion()
    rng = np.random.default_rng(1)
    for seconds, modality, confidence, abstained in items:
        vector = rng.standard_normal(4).astype(np.float32)
        for fused in made.put(at(seconds, modality, vector, confidence, abstained=abstained)):
            if fused.embedding.vector.size:
                assert np.linalg.norm(fused.embedding.vector) == pytest.approx(1, abs=1e-5)
                assert sum(fused.weights) == pytest.approx(1)
                assert 0 <= fused.embedding.confidence <= 1
            else:
                assert fused.embedding.abstained


def scene(detector, stamps, vector):
    made, changes = Fusion({V: 1.0}), []
    for seconds in stamps:
        (fused,) = made.put(at(seconds, V, vector(seconds)))
        change = detector.update(fused)
        if change is not None:
            changes.append((seconds, change))
    return changes


def test_a_new_scene_is_reported_once_with_the_sense_that_saw_it():
    changes = scene(ChangeDetector(0.3), np.arange(100) / 10, lambda t: EAST if t < 5 else NORTH)
    ((seconds, change),) = changes
    assert seconds == pytest.approx(5.0) and change.distance == pytest.approx(1.0, abs=1e-5)
    assert change.by_modality[0][0] == "vision" and change.by_modality[0][1] == pytest.approx(1.0, abs=1e-5)


def test_a_scene_that_drifts_is_no_change():
    def drift(t):
        return np.array([np.cos(0.1 * t), np.sin(0.1 * t), 0, 0], np.float32)

    assert scene(ChangeDetector(0.3, memory=3.0), np.arange(150) / 10, drift) == []


def test_a_scene_that_flickers_is_reported_once_a_refractory_time_at_most():
    changes = scene(
        ChangeDetector(0.3, refractory=2.0), np.arange(200) / 10, lambda t: EAST if int(t * 10) % 2 else NORTH
    )
    times = [seconds for seconds, _ in changes]
    assert 1 <= len(times) <= 10 and all(np.diff(times) >= 2.0)


def test_a_scene_that_swings_around_the_threshold_is_reported_once():
    def swing(t):
        angle = 0.0 if t < 2 else np.arccos(0.7) + 0.05 * np.sin(20 * t)
        return np.array([np.cos(angle), np.sin(angle), 0, 0], np.float32)

    assert len(scene(ChangeDetector(0.3, refractory=0.0), np.arange(300) / 30, swing)) == 1
