from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
import yaml
from pydantic import BaseModel, ValidationError

from hitlens.detectors.cebr.response import SimulationConfig


def test_every_parameter_stands_in_the_shipped_yaml() -> None:
    config = SimulationConfig.model_validate({})
    text = yaml.safe_dump(config.model_dump(mode="json"))
    assert SimulationConfig.model_validate(yaml.safe_load(text)) == config
    shipped = yaml.safe_load(files("hitlens.detectors.cebr").joinpath("response.yaml").read_text())
    missing = [
        f"{section}.{name}"
        for section, model in config
        if isinstance(model, BaseModel)
        for name in type(model).model_fields
        if name not in shipped[section]
    ]
    assert missing == ["light.shape"]


def test_defaults_are_neutral() -> None:
    config = SimulationConfig.model_validate({})
    assert config.effective_light == config.light


def test_m2t_has_the_numbers_of_that_name() -> None:
    config = SimulationConfig.model_validate({"response": "m2t", "light": {"clip": 0.3}})
    light = config.light
    assert (light.depth_1, light.depth_2, light.weight) == (0.822, 1.75, 0.545)
    assert (light.reflectivity, light.mirror, light.clip) == (0.925, 0.036, 0.3)
    assert config.electron.photons_per_mev == 60_300
    assert config.electron.depth_shift_px_per_mev == 0.11


def test_nuisance_parameters_change_the_light() -> None:
    base = SimulationConfig.model_validate({}).light
    nuisance = {"width_scale": 1.1, "width_shift_px": 0.05, "reflectivity_scale": 2.0}
    light = SimulationConfig.model_validate({"nuisance": nuisance}).effective_light
    assert light.depth_1 == pytest.approx(base.depth_1 * 1.1 + 0.05)
    assert light.depth_2 == pytest.approx(base.depth_2 * 1.1 + 0.05)
    assert light.reflectivity == 1.0


def test_attenuation_is_interpolated_in_both_logarithms() -> None:
    brems = SimulationConfig.model_validate({}).bremsstrahlung
    energy = np.array([0.05, 0.06, np.sqrt(0.05 * 0.06), 0.1])
    expected = np.array([39.0, 24.0, np.sqrt(39.0 * 24.0), 6.2]) * 0.3
    np.testing.assert_allclose(brems.attenuation_per_px(energy), expected)
    below, above = brems.attenuation_per_px(np.array([0.0404, 0.0405]))
    assert above / below == pytest.approx(60 / 27)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sample": {"energy_1_mev": [1.0, 0.0]}}, "low < high"),
        ({"sample": {"separation_px": [25, 30]}}, "diagonal"),
        ({"sample": {"single_fraction": 1.5}}, "less than or equal to 1"),
        ({"dead_pixels": [[16, 0]]}, "dead_pixels"),
        ({"bremsstrahlung": {"attenuation_per_cm": [1.0]}}, "attenuation table"),
        ({"nuisance": {"widht_scale": 1.0}}, "Extra inputs"),
        ({"nuisance": {"width_shift_px": -2.0}}, "depths"),
        ({"response": "m3"}, "'m2' or 'm2t'"),
        ({"electron": {"photons_per_mev": 0}}, "greater than 0"),
    ],
)
def test_bad_settings_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SimulationConfig.model_validate(change)
