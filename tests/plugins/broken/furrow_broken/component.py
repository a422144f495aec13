from furrow.components.config import ConfigOfLastYear  # there is no such name

COMPONENT = ConfigOfLastYear()
