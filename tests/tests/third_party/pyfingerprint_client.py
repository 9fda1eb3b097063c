"""A client of pyfingerprint: opens PORT, reads parameters, writes the image's pixels to OUT.

Then it looks for the finger in the module's own library, and gives the module another password."""

import os
import sys

from PIL import Image
from pyfingerprint.pyfingerprint import PyFingerprint

port, out = sys.argv[1], sys.argv[2]
module = PyFingerprint(port, 57600, 0xFFFFFFFF, 0)


def same(what, expected):
    if what != expected:
        sys.exit(f"{what!r} instead of {expected!r}")


same(module.verifyPassword(), True)
same(module.getSystemParameters(), (0, 9, 200, 3, 0xFFFFFFFF, 2, 6))
same((module.getMaxPacketSize(), module.getBaudRate()), (128, 57600))
same(module.readImage(), True)
bitmap = os.path.join(os.path.dirname(out), "image.bmp")
module.downloadImage(bitmap)
with open(out, "wb") as file:
    file.write(Image.open(bitmap).convert("L").tobytes())

same(module.convertImage(1), True)
same(module.searchTemplate(), (-1, -1))
same(module.convertImage(2), True)
same(module.compareCharacteristics() > 0, True)
same(module.createTemplate(), True)
same(module.storeTemplate(), 0)
same(module.getTemplateCount(), 1)
same(module.getTemplateIndex(0)[:3], [True, False, False])
same(module.searchTemplate()[0], 0)
same(module.loadTemplate(0, 2), True)
same(module.deleteTemplate(0), True)
same(module.clearDatabase(), True)
same(module.generateRandomNumber() != module.generateRandomNumber(), True)
module.setMaxPacketSize(64)
same(module.getMaxPacketSize(), 64)
same(module.setPassword(0xBEEF), True)
same(module.verifyPassword(), True)
