from furrow.components.config import Config
from furrow.components.registry import Component


class RivalConfig(Config):
    """No settings."""


COMPONENT = Component(summary="the same name again", config=RivalConfig, factory="furrow_rival.component:RivalConfig")
