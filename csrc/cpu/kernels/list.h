/* SPDX-License-Identifier: Apache-2.0 */
/* Every kernel, one line each; csrc/cpu/meson.build lists the sources. No include guard: included where CPU_KERNEL is defined. */
CPU_KERNEL(reorder)
