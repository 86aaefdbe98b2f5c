"""Detectors described by one YAML file: views, truth, tasks, symmetries and where files hold them."""

from __future__ import annotations

from hitlens.detectors.from_yaml.loading import is_description, load_detector, read_detector

__all__ = ["is_description", "load_detector", "read_detector"]
