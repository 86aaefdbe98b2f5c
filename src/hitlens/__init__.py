"""hitlens: detector images into physics, with error bars, baselines and guards."""

__version__ = "0.1.0"
