"""Packs a binary for Lambda's provided.al2023: bootstrap, and bootstrap.zip that is the same for the same binary."""

import pathlib
import re
import shutil
import sys
import zipfile

# What provided.al2023 has; a binary that was linked against a newer one does not start there.
GLIBC = (2, 34)

binary, folder = map(pathlib.Path, sys.argv[1:])
needed = max(tuple(map(int, version)) for version in re.findall(rb"GLIBC_(\d+)\.(\d+)", binary.read_bytes()))
if needed > GLIBC:
    sys.exit(f"make: the binary needs glibc {needed[0]}.{needed[1]}, provided.al2023 has {GLIBC[0]}.{GLIBC[1]}: build on an older system")

bootstrap = folder / "bootstrap"
shutil.copyfile(binary, bootstrap)
bootstrap.chmod(0o755)
entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
entry.external_attr = 0o100755 << 16
archive = folder / "bootstrap.zip"
with zipfile.ZipFile(archive, "w") as packed:
    packed.writestr(entry, bootstrap.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)
print(f"{archive}: {archive.stat().st_size / 1e6:.1f} MB, {bootstrap.stat().st_size / 1e6:.1f} MB unpacked, glibc {needed[0]}.{needed[1]}")
