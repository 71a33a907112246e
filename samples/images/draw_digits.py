# SPDX-License-Identifier: Apache-2.0
"""Draw the ten sample images, one pen-stroke digit each: white on black, 64x64 grey PNG.

pip install pillow
python samples/images/draw_digits.py
"""

from __future__ import annotations

import math
import pathlib

from PIL import Image, ImageDraw

SIZE, OVERSAMPLING, PEN = 64, 8, 0.13
Point = tuple[float, float]


def arc(cx: float, cy: float, rx: float, ry: float, start: float, stop: float) -> list[Point]:
    """Points of an ellipse arc; angles in degrees, clockwise from the right."""
    steps = 40
    angles = [math.radians(start + (stop - start) * i / steps) for i in range(steps + 1)]
    return [(cx + rx * math.cos(a), cy + ry * math.sin(a)) for a in angles]


# Pen strokes in a box of 1 by 1, origin at the top left.
STROKES: dict[str, list[list[Point]]] = {
    "0": [arc(0.5, 0.5, 0.24, 0.40, 0, 360)],
    "1": [[(0.34, 0.28), (0.54, 0.10), (0.52, 0.90)]],
    "2": [[*arc(0.48, 0.30, 0.22, 0.20, 190, 380), (0.62, 0.48), (0.28, 0.88)], [(0.28, 0.88), (0.76, 0.86)]],
    "3": [arc(0.46, 0.30, 0.21, 0.20, 200, 430), arc(0.46, 0.69, 0.23, 0.21, 280, 510)],
    "4": [[(0.44, 0.10), (0.24, 0.58), (0.78, 0.56)], [(0.58, 0.36), (0.52, 0.92)]],
    "5": [[(0.72, 0.12), (0.36, 0.13), (0.34, 0.46)], arc(0.46, 0.66, 0.24, 0.23, 240, 500)],
    "6": [[(0.60, 0.10), (0.40, 0.30), (0.30, 0.56)], arc(0.48, 0.68, 0.20, 0.22, 0, 360)],
    "7": [[(0.26, 0.14), (0.74, 0.13), (0.44, 0.90)], [(0.36, 0.52), (0.70, 0.50)]],
    "8": [arc(0.5, 0.30, 0.18, 0.19, 0, 360), arc(0.5, 0.70, 0.21, 0.21, 0, 360)],
    "9": [arc(0.48, 0.32, 0.20, 0.22, 0, 360), [(0.68, 0.34), (0.66, 0.60), (0.50, 0.90)]],
}


def draw(strokes: list[list[Point]]) -> Image.Image:
    side = SIZE * OVERSAMPLING
    image = Image.new("L", (side, side))
    pen = ImageDraw.Draw(image)
    radius = PEN * side / 2
    for stroke in strokes:
        points = [(x * side, y * side) for x, y in stroke]
        pen.line(points, fill=255, width=round(2 * radius))
        for x, y in points:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return image.resize((SIZE, SIZE), Image.Resampling.BOX)


if __name__ == "__main__":
    for name, strokes in STROKES.items():
        draw(strokes).save(pathlib.Path(__file__).parent / f"digit_{name}.png", optimize=True)
