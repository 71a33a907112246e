# SPDX-License-Identifier: Apache-2.0
"""The version of the package: the one place that names it (the build reads it from here)."""

__version__ = "0.1.0"

if __name__ == "__main__":
    print(__version__)
