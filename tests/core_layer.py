"""The tests' settings with channels_redis's other layer, which keeps its groups in Redis."""

from tests.settings import *  # noqa: F403  # the same but for one thing
from tests.settings import CHANNEL_LAYERS

CHANNEL_LAYERS["default"]["BACKEND"] = "channels_redis.core.RedisChannelLayer"
