"""The tests' settings with a channel layer that delivers nothing."""

from tests.settings import *  # noqa: F403  # the same but for one thing

CHANNEL_LAYERS = {"default": {"BACKEND": "tests.channel_layers.Silent"}}
