"""`taskhub demo`: the main job on real input, shown on the terminal and counted for a script."""

from taskhub.demo.story import BadFolder, tell

__all__ = ["BadFolder", "tell"]
