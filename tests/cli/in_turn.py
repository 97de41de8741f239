"""A program that runs several verbs one after the other, and says after each with which code it ended."""

import json
import sys

from taskhub.cli import main

ENDED = "-- ended with"

if __name__ == "__main__":
    for words in json.loads(sys.argv[1]):
        try:
            main(words)
        except SystemExit as ended:
            print(ENDED, ended.code or 0, flush=True)
