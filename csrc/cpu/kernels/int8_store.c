/* SPDX-License-Identifier: Apache-2.0 */
/* From integer sums to results. Compiled without multiply-add, so that bytes without posts are the same for
 * every instruction set. */
#include "cpu/kernels/int8_store.h"

#include "cpu/kernels/post.h"
#include "cpu/kernels/vec.h"

#define PARTS (16 / VL) /* vectors of a block */

enum { ARRAYS = 10 };

/* ReLU and Clamp in front of the step to bytes only narrow its limits. 0: not such an operation. */
static int read_limits(const cpu_post *post, float *least, float *most) {
  int clamp = post->op == CPU_UNARY_CLAMP, relu = post->op == CPU_UNARY_RELU && post->alpha == 0.0f;
  if (post->type != CPU_POST_UNARY || (!clamp && !relu)) return 0;
  *least = clamp ? post->alpha : 0.0f;
  *most = clamp ? post->beta : INFINITY;
  return 1;
}

/* The posts of a residual sum as two steps: maybe to levels of the quantisation in front of it, then with the
 * addend's bytes to bytes. */
static void take_residual(int8_store *s) {
  const cpu_post *quantize = s->post_count == 2 ? s->posts : NULL;
  const cpu_grid *grid = &s->addends[s->post_count - 1];
  for (int64_t c = 0; c < s->channels; c++) {
    float scale = grid->scale[grid->count == 1 ? 0 : c], factor = s->factor[c], shift = 0;
    s->addend[c] = scale * factor;
    if (quantize) {
      float low = quantize->low[c];
      s->scale[c] *= quantize->scale[c];
      s->bias[c] = (s->bias[c] - low) * quantize->scale[c];
      s->level[c] = (quantize->high[c] - low) * quantize->scale[c];
      s->factor[c] *= quantize->step[c];
      shift = quantize->shift[c];
    }
    s->shift[c] += (shift - grid->zero * scale) * factor;
  }
}

/* The last post is the step to bytes, or a quantisation whose levels stay in float32. */
static void take_grid(int8_store *s) {
  const cpu_post *grid = s->posts + --s->post_count;
  float least = -INFINITY, most = INFINITY;
  if (s->post_count && read_limits(s->posts + s->post_count - 1, &least, &most)) s->post_count--;
  for (int64_t c = 0; c < s->channels; c++) {
    float low = grid->low[c], high = grid->high[c];
    s->factor[c] = grid->scale[c];
    s->shift[c] = -low * grid->scale[c];
    s->least[c] = rintf((fminf(fmaxf(least, low), high) - low) * grid->scale[c]);
    s->most[c] = rintf((fmaxf(fminf(most, high), low) - low) * grid->scale[c]);
    if (s->to_levels) {
      s->step[c] = grid->step[c];
      s->offset[c] = grid->shift[c];
    }
    if (s->post_count) continue;
    s->scale[c] *= s->factor[c];
    s->bias[c] *= s->factor[c];
    s->bias[c] += s->shift[c];
  }
}

void int8_store_release(int8_store *store, const iec_host_api *host) {
  host->release(host->self, store->scale);
}

static inline vf sums_at(const int32_t *sums) {
  vi v;
  memcpy(&v, sums, sizeof v);
  return __builtin_convertvector(v, vf);
}

/* 16 numbers within 0 and 255 as bytes, half to even. */
static inline void store_bytes(uint8_t *y, const vf *x) {
#if defined(__AVX512F__)
  _mm_storeu_si128((__m128i *)y, _mm512_cvtepi32_epi8(_mm512_cvtps_epi32((__m512)x[0])));
#elif defined(__AVX2__)
  __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32((__m256)x[0]), _mm256_cvtps_epi32((__m256)x[1]));
  words = _mm256_permute4x64_epi64(words, 0xd8);
  _mm_storeu_si128((__m128i *)y,
                   _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
#else
  for (int i = 0; i < 16; i += VL) {
    vf v = vf_round(x[i / VL]);
    v = vf_at_most(vf_sel(v > 0.0f, v, vf_set(0)), vf_set(255)); /* NaN, of a network with NaN in it: 0 */
    for (int k = 0; k < VL; k++) y[i + k] = (uint8_t)(int32_t)v[k];
  }
#endif
}

#if defined(__AVX2__) && !defined(__AVX512F__)
enum { AT_ONCE = 2 };

/* Two pixels. What lies outside of 0 and 255 becomes these. */
static inline void store_pixels(uint8_t *y, const vf *x) {
  __m256i a = _mm256_packs_epi32(_mm256_cvtps_epi32((__m256)x[0]), _mm256_cvtps_epi32((__m256)x[1]));
  __m256i b = _mm256_packs_epi32(_mm256_cvtps_epi32((__m256)x[2]), _mm256_cvtps_epi32((__m256)x[3]));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  _mm256_storeu_si256((__m256i *)y, _mm256_permutevar8x32_epi32(_mm256_packus_epi16(a, b), order));
}
#else
enum { AT_ONCE = 1 };

static inline void store_pixels(uint8_t *y, const vf *x) { store_bytes(y, x); }
#endif

/* Factors and limits of 16 channels. */
typedef struct byte_step {
  vf factor[PARTS], shift[PARTS], least[PARTS], most[PARTS];
} byte_step;

static void load_step(byte_step *step, const float *factor, const float *shift, const int8_store *s,
                      int64_t channel) {
  for (int i = 0; i < PARTS; i++) {
    int64_t at = channel + i * VL;
    step->factor[i] = vf_load(factor + at);
    step->shift[i] = vf_load(shift + at);
    step->least[i] = vf_load(s->least + at);
    step->most[i] = vf_load(s->most + at);
  }
}

static inline vf in_steps(const byte_step *step, int part, vf x) {
  x = x * step->factor[part];
  return vf_at_most(vf_at_least(x + step->shift[part], step->least[part]), step->most[part]);
}

/* Inlined with a constant `limits` only: 0 leaves them to store_pixels. */
static inline __attribute__((always_inline)) void scale_to_bytes(const int8_store *s, const int32_t *sums,
                                                                 uint8_t *y, int64_t count, int64_t channel,
                                                                 const int limits) {
  byte_step step;
  load_step(&step, s->scale, s->bias, s, channel);
  for (; count >= AT_ONCE; count -= AT_ONCE, sums += AT_ONCE * 16, y += AT_ONCE * 16) {
    vf x[AT_ONCE * PARTS];
    for (int i = 0; i < AT_ONCE * PARTS; i++) {
      vf v = sums_at(sums + i * VL);
      x[i] = limits ? in_steps(&step, i % PARTS, v) : v * step.factor[i % PARTS];
      if (!limits) x[i] = x[i] + step.shift[i % PARTS];
    }
    store_pixels(y, x);
  }
  if (AT_ONCE == 1 || !count) return;
  vf x[PARTS];
  for (int i = 0; i < PARTS; i++) x[i] = in_steps(&step, i, sums_at(sums + i * VL));
  store_bytes(y, x);
}

static void sums_to_bytes(const int8_store *s, const int32_t *sums, uint8_t *y, int64_t count,
                          int64_t channel) {
  if (AT_ONCE > 1 && s->saturates)
    scale_to_bytes(s, sums, y, count, channel, 0);
  else
    scale_to_bytes(s, sums, y, count, channel, 1);
}

static void numbers_to_bytes(const int8_store *s, const float *numbers, uint8_t *y, int64_t count,
                             int64_t channel) {
  byte_step step;
  load_step(&step, s->factor, s->shift, s, channel);
  for (int64_t p = 0; p < count; p++, numbers += 16) {
    vf x[PARTS];
    for (int i = 0; i < PARTS; i++) x[i] = in_steps(&step, i, vf_load(numbers + i * VL));
    store_bytes(y + p * 16, x);
  }
}

static void sums_to_numbers(const int8_store *s, const int32_t *sums, float *y, int64_t count,
                            int64_t channel) {
  vf scale[PARTS], bias[PARTS];
  for (int i = 0; i < PARTS; i++) {
    scale[i] = vf_load(s->scale + channel + i * VL);
    bias[i] = vf_load(s->bias + channel + i * VL);
  }
  for (int64_t p = 0; p < count * 16; p += 16)
    for (int i = 0; i < PARTS; i++) {
      vf x = sums_at(sums + p + i * VL) * scale[i];
      vf_store(y + p + i * VL, x + bias[i]);
    }
}

static inline vf bytes_at(const uint8_t *x) {
#if defined(__AVX512F__)
  return (vf)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)x)));
#elif defined(__AVX2__)
  return (vf)_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)x)));
#else
  vf v;
  for (int j = 0; j < VL; j++) v[j] = (float)x[j];
  return v;
#endif
}

static void load_scale(const cpu_grid *grid, int64_t channel, vf scale[PARTS]) {
  for (int i = 0; i < PARTS; i++)
    scale[i] = grid->count == 1 ? vf_set(grid->scale[0]) : vf_load(grid->scale + channel + i * VL);
}

/* Bytes of 16 channels as numbers. */
static void bytes_to_numbers(const cpu_grid *grid, const uint8_t *x, float *y, int64_t count,
                             int64_t channel) {
  vf scale[PARTS], zero = vf_set(grid->zero);
  load_scale(grid, channel, scale);
  for (int64_t p = 0; p < count * 16; p += 16)
    for (int i = 0; i < PARTS; i++) vf_store(y + p + i * VL, (bytes_at(x + p + i * VL) - zero) * scale[i]);
}

typedef struct residual_step {
  byte_step to_bytes;
  vf scale[PARTS], bias[PARTS], level[PARTS], addend[PARTS];
} residual_step;

/* `quantize`: there is a quantisation in front of the sum. Inlined with constants only, as above. */
static inline __attribute__((always_inline)) vf add_residual(const residual_step *step, int part,
                                                             const int32_t *sums, const uint8_t *addend,
                                                             const int quantize, const int limits) {
  vf v = sums_at(sums) * step->scale[part], other = bytes_at(addend) * step->addend[part];
  v = v + step->bias[part];
  if (quantize) v = vf_round(vf_at_most(vf_at_least(v, vf_set(0)), step->level[part]));
  v = v * step->to_bytes.factor[part] + other;
  v = v + step->to_bytes.shift[part];
  return limits ? vf_at_most(vf_at_least(v, step->to_bytes.least[part]), step->to_bytes.most[part]) : v;
}

static inline __attribute__((always_inline)) void add_residuals(const residual_step *step,
                                                                const int32_t *sums, const uint8_t *addend,
                                                                uint8_t *y, int64_t count, const int quantize,
                                                                const int limits) {
  int64_t p = 0;
  for (; p + AT_ONCE <= count; p += AT_ONCE) {
    vf x[AT_ONCE * PARTS];
    for (int i = 0; i < AT_ONCE * PARTS; i++) {
      int64_t at = p * 16 + i * VL;
      x[i] = add_residual(step, i % PARTS, sums + at, addend + at, quantize, limits);
    }
    store_pixels(y + p * 16, x);
  }
  for (; AT_ONCE > 1 && p < count; p++) {
    vf x[PARTS];
    for (int i = 0; i < PARTS; i++) {
      int64_t at = p * 16 + i * VL;
      x[i] = add_residual(step, i, sums + at, addend + at, quantize, 1);
    }
    store_bytes(y + p * 16, x);
  }
}

static void load_residual(residual_step *step, const int8_store *s, int64_t channel) {
  load_step(&step->to_bytes, s->factor, s->shift, s, channel);
  for (int i = 0; i < PARTS; i++) {
    int64_t at = channel + i * VL;
    step->scale[i] = vf_load(s->scale + at);
    step->bias[i] = vf_load(s->bias + at);
    step->level[i] = vf_load(s->level + at);
    step->addend[i] = vf_load(s->addend + at);
  }
}

/* The posts of a residual sum in one pass. */
static void residual_to_bytes(const int8_store *s, const int32_t *sums, const uint8_t *addend, uint8_t *y,
                              int64_t count, int64_t channel) {
  residual_step step;
  load_residual(&step, s, channel);
  int limits = AT_ONCE == 1 || !s->saturates;
  if (s->post_count == 1)
    add_residuals(&step, sums, addend, y, count, 0, 1);
  else if (limits)
    add_residuals(&step, sums, addend, y, count, 1, 1);
  else
    add_residuals(&step, sums, addend, y, count, 1, 0);
}

/* To levels in float32: sums, with an addend's bytes where there is a residual sum, or numbers. */
static void to_levels(const int8_store *s, const int32_t *sums, const float *numbers, const uint8_t *addend,
                      float *y, int64_t count, int64_t channel) {
  residual_step step;
  load_residual(&step, s, channel);
  if (!numbers && !addend) load_step(&step.to_bytes, s->scale, s->bias, s, channel);
  for (int64_t p = 0; p < count * 16; p += 16)
    for (int i = 0; i < PARTS; i++) {
      int64_t at = p + i * VL;
      vf x;
      if (addend && s->post_count == 2)
        x = add_residual(&step, i, sums + at, addend + at, 1, 1);
      else if (addend)
        x = add_residual(&step, i, sums + at, addend + at, 0, 1);
      else
        x = in_steps(&step.to_bytes, i, numbers ? vf_load(numbers + at) : sums_at(sums + at));
      x = vf_round(x) * vf_load(s->step + channel + i * VL);
      vf_store(y + at, x + vf_load(s->offset + channel + i * VL));
    }
}

/* 1 when residual_to_bytes or to_levels does all posts. */
static int is_residual(const int8_store *s) {
  int32_t last = s->post_count - 1;
  if (!s->to_bytes && !s->to_levels) return 0;
  if (last < 0 || last > 1 || s->posts[last].type != CPU_POST_SUM || !s->addends[last].count) return 0;
  return last == 0 || s->posts[0].type == CPU_POST_QUANTIZE;
}

/* 1 when the limits of bytes are those of all channels, and no sum comes near the end of 32-bit integers. */
static int saturates(const int8_store *s) {
  int all = 1;
  for (int64_t c = 0; c < s->channels; c++) {
    float factor = s->post_count ? s->factor[c] : 1.0f;
    all &= s->least[c] == 0.0f && s->most[c] == 255.0f;
    all &= fabsf(s->scale[c] * factor) <= 0.25f && fabsf(s->bias[c] * factor) <= 0x1p29f;
  }
  return all;
}

iec_status int8_store_init(int8_store *s, const iec_host_api *host, const cpu_node *node, const float *scale,
                           const float *bias, iec_error *err) {
  const cpu_tensor *y = node->outputs[0];
  s->channels = y->shape[strcmp(node->kind, "MatMul") == 0 ? y->ndim - 1 : 1];
  size_t floats = (size_t)(op_div_up(s->channels, 16) * 16);
  s->scale = host->alloc(host->self, ARRAYS * floats * sizeof(float), 64);
  if (!s->scale) return cpu_fail(err, IEC_OUT_OF_MEMORY, node->name, "out of memory for the scales");
  memset(s->scale, 0, ARRAYS * floats * sizeof(float));
  float **const arrays[ARRAYS] = {&s->scale, &s->bias,  &s->factor, &s->shift, &s->least,
                                  &s->most,  &s->level, &s->addend, &s->step,  &s->offset};
  for (size_t i = 1; i < ARRAYS; i++) *arrays[i] = s->scale + i * floats;
  memcpy(s->scale, scale, (size_t)s->channels * sizeof(float));
  memcpy(s->bias, bias, (size_t)s->channels * sizeof(float));
  s->post_count = node->post_count;
  memcpy(s->posts, node->posts, sizeof s->posts);
  for (int32_t i = 0; i < s->post_count; i++) {
    if (s->posts[i].type != CPU_POST_SUM) continue;
    const cpu_grid *grid = node->inputs[s->posts[i].input]->grid;
    if (grid) s->addends[i] = *grid;
  }
  s->to_bytes = y->grid != NULL;
  s->to_levels = !s->to_bytes && s->post_count && s->posts[s->post_count - 1].type == CPU_POST_QUANTIZE;
  if (s->to_bytes || s->to_levels) take_grid(s);
  s->saturates = saturates(s);
  s->residual = is_residual(s);
  if (s->residual) take_residual(s);
  return IEC_OK;
}

static void apply_posts(const int8_store *s, const cpu_run *run, int8_buffers *buffers, float *y, int64_t at,
                        int64_t count, int64_t channel) {
  for (int32_t i = 0; i < s->post_count; i++) {
    const cpu_post *post = s->posts + i;
    const float *other = NULL;
    if (post->type == CPU_POST_SUM) {
      const void *addend = run->inputs[post->input];
      other = (const float *)addend + at;
      if (s->addends[i].count) {
        bytes_to_numbers(&s->addends[i], (const uint8_t *)addend + at, buffers->addends, count, channel);
        other = buffers->addends;
      }
    }
    post_block(post, y, other, count, channel);
  }
}

/* Results of the sums to `bytes` or `numbers`, whichever output 0 is. */
static void store_to(const int8_store *s, const cpu_run *run, int8_buffers *buffers, const int32_t *sums,
                     uint8_t *bytes, float *numbers, int64_t at, int64_t count, int64_t channel) {
  const uint8_t *addend = NULL;
  if (s->residual) addend = (const uint8_t *)run->inputs[s->posts[s->post_count - 1].input] + at;
  if (s->to_levels && (addend || !s->post_count)) {
    to_levels(s, sums, NULL, addend, numbers, count, channel);
    return;
  }
  if (s->to_bytes && !s->post_count) {
    sums_to_bytes(s, sums, bytes, count, channel);
    return;
  }
  if (addend) {
    residual_to_bytes(s, sums, addend, bytes, count, channel);
    return;
  }
  float *y = s->to_bytes ? buffers->numbers : numbers;
  sums_to_numbers(s, sums, y, count, channel);
  apply_posts(s, run, buffers, y, at, count, channel);
  if (s->to_bytes) numbers_to_bytes(s, y, bytes, count, channel);
  if (s->to_levels) to_levels(s, NULL, y, NULL, y, count, channel);
}

void int8_store_block(const int8_store *s, const cpu_run *run, int8_buffers *buffers, const int32_t *sums,
                      int64_t at, int64_t count, int64_t channel) {
  float *y = (float *)run->outputs[0] + at;
  store_to(s, run, buffers, sums, (uint8_t *)run->outputs[0] + at, y, at, count, channel);
  if (s->to_bytes || channel + 16 <= s->channels) return;
  for (int64_t p = 0; p < count; p++)
    for (int64_t lane = s->channels - channel; lane < 16; lane++) y[p * 16 + lane] = 0;
}

void int8_store_columns(const int8_store *s, const cpu_run *run, int8_buffers *buffers, int64_t at,
                        int64_t count, int64_t channel) {
  size_t size = s->to_bytes ? 1 : sizeof(float), width = (size_t)op_min(16, s->channels - channel) * size;
  for (int64_t row = 0; row < count; row++, at += s->channels) {
    uint8_t bytes[16];
    float numbers[16];
    store_to(s, run, buffers, buffers->sums + row * 16, bytes, numbers, at, 1, channel);
    memcpy((char *)run->outputs[0] + (size_t)at * size, s->to_bytes ? (void *)bytes : (void *)numbers, width);
  }
}
