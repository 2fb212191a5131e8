"""Makes a picture of a page smaller: 256 colours are enough for text and charts."""

import collections
import itertools
import struct
import sys
import zlib


def rows(data, width):
    """The rows of pixels, without PNG's filters. Each pixel has three bytes."""
    before = bytearray(width * 3)
    for start in range(0, len(data), width * 3 + 1):
        kind, row = data[start], bytearray(data[start + 1 : start + 1 + width * 3])
        for at in range(len(row)):
            left, up, corner = (row[at - 3], before[at], before[at - 3]) if at > 2 else (0, before[at], 0)
            guess = left + up - corner
            paeth = min((left, up, corner), key=lambda value: abs(guess - value))
            row[at] = (row[at] + (0, left, up, (left + up) // 2, paeth)[kind]) & 255
        yield row
        before = row


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def main(path):
    with open(path, "rb") as file:
        data, at, pixels = file.read(), 8, b""
    while at < len(data):
        (length,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8]
        pixels += data[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    width, height, depth, colours = struct.unpack(">IIBB", data[16:26])
    assert (depth, colours) == (8, 2), "chromium writes 8 bits for each of red, green and blue"
    image = [[*zip(*[iter(row)] * 3)] for row in rows(zlib.decompress(pixels), width)]
    # The most common colours, and for every other one the nearest of them.
    counted = collections.Counter(itertools.chain(*image))
    palette = [colour for colour, _ in counted.most_common(256)]
    index = {colour: min(range(len(palette)), key=lambda n: sum(abs(a - b) for a, b in zip(palette[n], colour)))
             for colour in counted}  # fmt: skip
    packed = b"".join(b"\0" + bytes(index[pixel] for pixel in row) for row in image)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)))
        file.write(chunk(b"PLTE", bytes(itertools.chain(*palette))) + chunk(b"IDAT", zlib.compress(packed, 9)))
        file.write(chunk(b"IEND", b""))


if __name__ == "__main__":
    main(sys.argv[1])
