"""Every setting of taskhub in one typed object, each with the place its value came from."""

from taskhub.settings.every import SECRETS, Settings
from taskhub.settings.kinds import BadSetting
from taskhub.settings.load import PREFIX, load

__all__ = ["PREFIX", "SECRETS", "BadSetting", "Settings", "load"]
