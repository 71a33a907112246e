# SPDX-License-Identifier: Apache-2.0
"""The device SLEEPY: an example of a device in Python."""
