"""A client of Adafruit's library: opens PORT, reads parameters, writes the image's pixels to OUT.

Then it enrols the finger in the module's own library and looks for it, as its examples do."""

import sys

import adafruit_fingerprint as fp
import serial

port, out, width, height = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
module = fp.Adafruit_Fingerprint(serial.Serial(port, baudrate=57600, timeout=5))


def same(what, expected):
    if what != expected:
        sys.exit(f"{what!r} instead of {expected!r}")


def image():
    same(module.get_image(), fp.OK)
    data = module.get_fpdata("image")
    same(len(data), width * height // 2)
    return bytes(pixel * 17 for byte in data for pixel in (byte >> 4, byte & 15))


same(module.check_module(), True)
same((module.system_id, module.library_size, module.security_level), (9, 200, 3))
same((module.device_address, module.data_packet_size, module.baudrate), (b"\xff" * 4, 2, 6))
pixels = image()
same(module.set_sysparam(6, 3), fp.OK)
same(image(), pixels)
same(module.set_sysparam(6, 2), fp.OK)
with open(out, "wb") as file:
    file.write(pixels)

same(module.image_2_tz(1), fp.OK)
same(module.finger_search(), fp.NOTFOUND)
same(module.get_image(), fp.OK)
same(module.image_2_tz(2), fp.OK)
same(module.compare_templates(), fp.OK)
same(module.create_model(), fp.OK)
same(module.store_model(7), fp.OK)
same((module.count_templates(), module.template_count), (fp.OK, 1))
same((module.read_templates(), module.templates), (fp.OK, [7]))
same((module.finger_search(), module.finger_id), (fp.OK, 7))
same((module.finger_fast_search(), module.finger_id), (fp.OK, 7))
same(module.load_model(7, 2), fp.OK)
same(module.delete_model(7), fp.OK)
same(module.finger_search(), fp.NOTFOUND)
same(module.empty_library(), fp.OK)
same(module.set_led(color=3, mode=2, speed=40, cycles=5), fp.OK)
