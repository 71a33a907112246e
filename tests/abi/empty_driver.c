/* SPDX-License-Identifier: Apache-2.0 */
/* A library that is no driver. */
int not_a_driver(void);
int not_a_driver(void) { return 0; }
