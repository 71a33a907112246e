# SPDX-License-Identifier: Apache-2.0
"""Layer types Thermometer and Mirror: an example of an extension."""
