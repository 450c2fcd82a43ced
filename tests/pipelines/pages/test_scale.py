import pytest

from pipelines.pages.scale import Scale


def test_a_scale_ends_at_ticks_around_the_values():
    scale = Scale.over([0.46, 0.998], step=0.1)
    assert scale == Scale(pytest.approx(0.4), pytest.approx(1.0), 0.1)
    assert scale.ticks() == pytest.approx([0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert Scale.over([0.4, 1.0], step=0.1).low == pytest.approx(0.4)  # no tick more
    assert Scale.over([0.3], step=0.1).high > Scale.over([0.3], step=0.1).low


def test_places_are_percent_and_end_at_the_ends():
    scale = Scale(-0.2, 0.6, 0.2)
    assert [scale.at(value) for value in (-0.2, 0.0, 0.6, 0.9, -3)] == [0, 25, 100, 100, 0]
    assert scale.holds(0.6)
    assert not scale.holds(0.61)


@pytest.mark.parametrize(
    ("values", "low", "high", "step"),
    [
        ((0.0, 0.05, 0.06), 0.0, 0.06, 0.02),
        ((-1.0, 0.3, 1.0), -1.0, 1.0, 0.5),
        ((0.0, 5.5), 0.0, 6.0, 2.0),
        ((0.95, 1.0), 0.95, 1.0, 0.01),
    ],
)
def test_an_axis_around_values_has_round_ends_and_few_ticks(values, low, high, step):
    scale = Scale.around(values)
    assert (scale.low, scale.high, scale.step) == pytest.approx((low, high, step))
    assert all(scale.holds(value) for value in values)


def test_an_axis_around_one_value_has_a_length():
    scale = Scale.around([0.3])
    assert scale.low <= 0.3 <= scale.high
    assert scale.high > scale.low
