"""A server process with the model of `lights`: python served.py [name=value ...], those of `serve`, seconds, abstain."""

import sys
import time

from lights import bright, hesitant, predictor

from imgcls import serving

options = dict(word.split("=") for word in sys.argv[1:])
seconds = float(options.pop("seconds", 0))
decide = hesitant if options.pop("abstain", "") else None


def run(pixels):
    if pixels.any():  # a black image, such as it is warmed with, takes no time
        time.sleep(seconds * len(pixels))
    return bright(pixels)


numbers = {name: float(value) if "." in value else int(value) for name, value in options.items() if name != "host"}
hosts = {name: value for name, value in options.items() if name == "host"}
try:
    serving.serve(predictor(run, decide=decide), name="lights", **{"port": 0} | numbers | hosts)
except KeyboardInterrupt:
    sys.exit(130)
