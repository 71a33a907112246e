# SPDX-License-Identifier: Apache-2.0
"""The device ACME: an example of a driver in C."""
