/* SPDX-License-Identifier: Apache-2.0 */
/* Mutations of the graph fuzzer: words, dimensions, attributes, ports, kinds and whole graphs change, and a
 * case stays a case. */
#include <stdlib.h>
#include <string.h>

#include "graph_case.h"
#include "iec/runtime.h"

enum { ROOM = 1 << 16 }; /* bytes of a section */

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

typedef struct scene { /* a case taken apart */
  uint8_t flags, place;
  size_t count[CASE_SECTIONS];
  union {
    uint8_t bytes[ROOM];
    int64_t words[ROOM / 8];
  } at[CASE_SECTIONS];
} scene;

static uint64_t state;
static uint64_t next(void) { /* xorshift */
  state ^= state << 13;
  state ^= state >> 7;
  return state ^= state << 17;
}
static size_t below(size_t n) { return n ? (size_t)(next() >> 16) % n : 0; }

static int read_scene(scene *s, const uint8_t *data, size_t size) {
  const uint8_t *at[CASE_SECTIONS];
  if (!case_sections(data, size, at, s->count)) return 0;
  s->flags = data[0];
  s->place = data[1];
  for (int i = 0; i < CASE_SECTIONS; i++) {
    if (s->count[i] * case_item[i] > ROOM) return 0;
    memcpy(s->at[i].bytes, at[i], s->count[i] * case_item[i]);
  }
  return 1;
}

/* 0 when it does not fit. */
static size_t write_scene(const scene *s, uint8_t *data, size_t max_size) {
  size_t size = CASE_HEADER;
  for (int i = 0; i < CASE_SECTIONS; i++) size += s->count[i] * case_item[i];
  if (size > max_size) return 0;
  data[0] = s->flags;
  data[1] = s->place;
  size = CASE_HEADER;
  for (int i = 0; i < CASE_SECTIONS; i++) {
    data[2 + 2 * i] = (uint8_t)s->count[i];
    data[3 + 2 * i] = (uint8_t)(s->count[i] >> 8);
    memcpy(data + size, s->at[i].bytes, s->count[i] * case_item[i]);
    size += s->count[i] * case_item[i];
  }
  return size;
}

/* Cases that ran: most new cases are refused, and what is made of those is refused again. */
enum { KEPT = 512, LONGEST = 8192 };
static struct {
  size_t size;
  uint8_t bytes[LONGEST];
} kept[KEPT];
static size_t kept_count;

void case_ran(const uint8_t *data, size_t size) {
  if (size > LONGEST) return;
  size_t place = kept_count < KEPT ? kept_count++ : below(KEPT);
  kept[place].size = size;
  memcpy(kept[place].bytes, data, size);
}

static int64_t *record(scene *s, int section, size_t i) {
  return s->at[section].words + i * (case_item[section] / 8);
}

/* Takes `out` items away at `place` and puts `in` items of zeros there. 0 when there is no room. */
static int splice(scene *s, int section, size_t place, size_t out, size_t in) {
  size_t item = case_item[section], count = s->count[section];
  if (place + out > count || (count - out + in) * item > ROOM || count - out + in > 0xffff) return 0;
  uint8_t *at = s->at[section].bytes + place * item;
  memmove(at + in * item, at + out * item, (count - place - out) * item);
  memset(at, 0, in * item);
  s->count[section] = count - out + in;
  return 1;
}

/* Place of a text in the strings, where it is put when it is not there; 0 when there is no room. */
static int64_t text(scene *s, const char *wanted) {
  size_t size = strlen(wanted) + 1, count = s->count[CASE_STRINGS];
  const uint8_t *strings = s->at[CASE_STRINGS].bytes;
  for (size_t i = 0; i + size <= count; i++)
    if ((i == 0 || !strings[i - 1]) && !memcmp(strings + i, wanted, size)) return (int64_t)i;
  if (!splice(s, CASE_STRINGS, count, 0, size)) return 0;
  memcpy(s->at[CASE_STRINGS].bytes + count, wanted, size);
  return (int64_t)count;
}

static const char *const kinds[] = {"Conv",
                                    "Deconv",
                                    "DeformConv",
                                    "MaxPool",
                                    "AvgPool",
                                    "MatMul",
                                    "Binary",
                                    "Unary",
                                    "FakeQuantize",
                                    "Softmax",
                                    "LogSoftmax",
                                    "LRN",
                                    "NormalizeL2",
                                    "MVN",
                                    "Reduce",
                                    "Concat",
                                    "Split",
                                    "Slice",
                                    "Reshape",
                                    "Transpose",
                                    "Tile",
                                    "Broadcast",
                                    "Pad",
                                    "Gather",
                                    "Select",
                                    "Convert",
                                    "TopK",
                                    "Interpolate",
                                    "DetectionOutput",
                                    "CTCGreedyDecoder",
                                    "CTCGreedyDecoderSeqLen",
                                    "Proposal",
                                    "SimplerNMS",
                                    "GenerateProposals",
                                    "ROIDetections",
                                    "ROIPooling",
                                    "PSROIPooling",
                                    "ROIAlign",
                                    "ROIFeatureExtractor",
                                    "NonMaxSuppression",
                                    "MatrixNms",
                                    "MulticlassNms",
                                    "GatherTree",
                                    "CTCLoss",
                                    "Recurrent",
                                    "Loop",
                                    "If",
                                    "Scatter",
                                    "CumSum",
                                    "NonZero",
                                    "Unique",
                                    "SparseFillEmptyRows",
                                    "DFT",
                                    "Inverse",
                                    "AdaptivePool"};
static const char *const texts[] = {"relu",
                                    "sigmoid",
                                    "tanh",
                                    "elu",
                                    "clamp",
                                    "power",
                                    "gelu",
                                    "not",
                                    "add",
                                    "sub",
                                    "mul",
                                    "div",
                                    "max",
                                    "min",
                                    "pow",
                                    "mod",
                                    "prelu",
                                    "less",
                                    "logical_and",
                                    "bit_and",
                                    "shift_left",
                                    "mean",
                                    "sum",
                                    "prod",
                                    "l1",
                                    "l2",
                                    "log_sum_exp",
                                    "and",
                                    "or",
                                    "edge",
                                    "reflect",
                                    "symmetric",
                                    "constant",
                                    "valid",
                                    "kernel",
                                    "legacy",
                                    "nearest",
                                    "linear",
                                    "linear_onnx",
                                    "cubic",
                                    "bilinear_pillow",
                                    "bilinear",
                                    "bicubic_pillow",
                                    "bilinear_deformable",
                                    "half_pixel",
                                    "align_corners",
                                    "asymmetric",
                                    "value",
                                    "index",
                                    "none",
                                    "int32",
                                    "int64",
                                    "float32",
                                    "uint8",
                                    "bool",
                                    "forward",
                                    "reverse",
                                    "bidirectional",
                                    "rnn",
                                    "gru",
                                    "lstm",
                                    "score",
                                    "classid",
                                    "gaussian",
                                    "average",
                                    "average_x",
                                    "avg",
                                    "inside",
                                    "outside",
                                    "truncate",
                                    "caffe.PriorBoxParameter.CENTER_SIZE",
                                    ""};
static const char *const names[] = {
    "axis",  "axes",   "op",      "mode",   "strides", "dilations",   "pads_begin",  "kernel",
    "order", "shape",  "k",       "sizes",  "scales",  "transpose_a", "transpose_b", "group_size",
    "alpha", "levels", "lengths", "begins", "repeats", "batch_dims",  "wrap",        "eps"};
static const int64_t dtypes[] = {IEC_F32,  IEC_F32, IEC_I32, IEC_I64, IEC_U8, IEC_I8,
                                 IEC_BOOL, IEC_F16, IEC_F64, IEC_I16, IEC_U64};
static const int64_t words[] = {0,
                                1,
                                -1,
                                2,
                                3,
                                4,
                                7,
                                8,
                                15,
                                16,
                                17,
                                32,
                                33,
                                64,
                                255,
                                256,
                                1000,
                                1 << 15,
                                INT32_MAX,
                                -1LL - INT32_MAX,
                                1LL << 31,
                                1LL << 32,
                                (1LL << 32) + 1,
                                1LL << 40,
                                1LL << 62,
                                INT64_MAX,
                                INT64_MIN,
                                INT64_MIN + 1};
static const double numbers[] = {0,
                                 -0.0,
                                 1,
                                 -1,
                                 0.5,
                                 2,
                                 1e-30,
                                 1e-45,
                                 1e9,
                                 -1e9,
                                 1e30,
                                 1e300,
                                 -1e300,
                                 __builtin_inf(),
                                 -__builtin_inf(),
                                 __builtin_nan("")};

#define PICK(list) list[below(sizeof list / sizeof list[0])]

static int64_t word(int64_t old) {
  switch (below(4)) {
    case 0: return PICK(words);
    case 1: return (int64_t)((uint64_t)old + (uint64_t)below(5) - 2);
    case 2: return (int64_t)below(20);
    default: return below(2) ? (int64_t)((uint64_t)old * 2) : -(int64_t)((uint64_t)old / 2);
  }
}

typedef struct place { /* where the parts of something begin in the streams */
  size_t ints, doubles, ports, attrs;
  size_t graph; /* that it belongs to */
} place;

/* Streams at the beginning of tensor `tensor`, or when that is SIZE_MAX of node `node`, or else of attribute
 * `attr`. 0 when the description is not in order before it. */
static int find(scene *s, size_t tensor, size_t node, size_t attr, place *out) {
  size_t tensors = 0, nodes = 0;
  memset(out, 0, sizeof *out);
  for (size_t g = 0; g < s->count[CASE_GRAPHS]; g++) {
    const int64_t *graph = record(s, CASE_GRAPHS, g);
    out->graph = g;
    for (int k = 1; k < 5; k++)
      if (graph[k] < 0 || graph[k] > 0xffff) return 0;
    for (int64_t i = 0; i < graph[1]; i++, tensors++) {
      if (tensors >= s->count[CASE_TENSORS]) return 0;
      if (tensors == tensor) return 1;
      int64_t rank = record(s, CASE_TENSORS, tensors)[2];
      if (rank < 0 || (out->ints += (size_t)rank) > s->count[CASE_INTS]) return 0;
    }
    out->ports += (size_t)(graph[3] + graph[4]);
    for (int64_t i = 0; i < graph[2]; i++, nodes++) {
      if (nodes >= s->count[CASE_NODES]) return 0;
      if (nodes == node) return 1;
      const int64_t *n = record(s, CASE_NODES, nodes);
      for (int k = 4; k < 7; k++)
        if (n[k] < 0 || n[k] > 0xffff) return 0;
      out->ports += (size_t)(n[4] + n[5]);
      for (int64_t a = 0; a < n[6]; a++, out->attrs++) {
        if (out->attrs >= s->count[CASE_ATTRS]) return 0;
        if (out->attrs == attr) return 1;
        const int64_t *r = record(s, CASE_ATTRS, out->attrs);
        if (r[1] == IEC_ATTR_INTS) out->ints += (size_t)(r[3] & 0xffff);
        if (r[1] == IEC_ATTR_FLOATS) out->doubles += (size_t)(r[3] & 0xffff);
        if (r[1] == IEC_ATTR_FLOAT) out->doubles++;
      }
    }
  }
  return 0;
}

/* Node that attribute `attr` belongs to. */
static size_t owner(scene *s, size_t attr) {
  size_t node = 0;
  for (size_t seen = 0; node < s->count[CASE_NODES]; node++)
    if ((seen += (size_t)record(s, CASE_NODES, node)[6]) > attr) break;
  return node;
}

/* The sizes of constants as their shapes and types say. */
static void repair(scene *s) {
  for (size_t i = 0; i < s->count[CASE_TENSORS]; i++) {
    int64_t *r = record(s, CASE_TENSORS, i);
    place p;
    if (!r[3]) {
      r[4] = 0;
      continue;
    }
    if (!find(s, i, SIZE_MAX, SIZE_MAX, &p) || r[2] < 0 || p.ints + (size_t)r[2] > s->count[CASE_INTS])
      return;
    int64_t size = r[1] == IEC_U8 || r[1] == IEC_I8 || r[1] == IEC_BOOL                        ? 1
                   : r[1] == IEC_F16 || r[1] == IEC_BF16 || r[1] == IEC_I16 || r[1] == IEC_U16 ? 2
                   : r[1] == IEC_F32 || r[1] == IEC_I32 || r[1] == IEC_U32                     ? 4
                                                                                               : 8;
    for (int64_t k = 0; k < r[2]; k++)
      if (__builtin_mul_overflow(size, s->at[CASE_INTS].words[p.ints + (size_t)k], &size)) size = 0;
    r[4] = size;
  }
}

/* ---- mutations: 0 when there was nothing to do */

static int change_word(scene *s) {
  static const int sections[] = {CASE_INTS,    CASE_INTS,  CASE_INTS,   CASE_ATTRS, CASE_ATTRS,
                                 CASE_TENSORS, CASE_NODES, CASE_GRAPHS, CASE_PORTS};
  int section = PICK(sections);
  size_t columns = case_item[section] / 8;
  if (!s->count[section]) return 0;
  size_t column = below(columns);
  if (section == CASE_TENSORS && column == 3) return 0;
  int64_t *at = record(s, section, below(s->count[section])) + column;
  *at = below(3) ? word(*at) : record(s, section, below(s->count[section]))[column];
  return 1;
}

static int change_number(scene *s) {
  if (!s->count[CASE_DOUBLES]) return 0;
  double value = PICK(numbers);
  memcpy(s->at[CASE_DOUBLES].words + below(s->count[CASE_DOUBLES]), &value, sizeof value);
  return 1;
}

/* A scalar attribute of integers. */
static int change_attr(scene *s) {
  if (!s->count[CASE_ATTRS]) return 0;
  int64_t *r = record(s, CASE_ATTRS, below(s->count[CASE_ATTRS]));
  if (r[1] == IEC_ATTR_STR)
    r[2] = text(s, PICK(texts));
  else if (r[1] == IEC_ATTR_INT)
    r[2] = word(r[2]);
  else
    return 0;
  return 1;
}

/* A dimension, and the same number wherever it is a dimension or the item of a list. */
static int change_dimension(scene *s) {
  if (!s->count[CASE_INTS]) return 0;
  int64_t old = s->at[CASE_INTS].words[below(s->count[CASE_INTS])],
          new = below(4) ? (int64_t)below(20) : word(old);
  for (size_t i = 0; i < s->count[CASE_INTS]; i++)
    if (s->at[CASE_INTS].words[i] == old && below(8)) s->at[CASE_INTS].words[i] = new;
  return 1;
}

static int change_dtype(scene *s) {
  if (!s->count[CASE_TENSORS]) return 0;
  int64_t old = record(s, CASE_TENSORS, below(s->count[CASE_TENSORS]))[1], new = PICK(dtypes);
  size_t all = below(2), one = below(s->count[CASE_TENSORS]);
  for (size_t i = 0; i < s->count[CASE_TENSORS]; i++) {
    int64_t *r = record(s, CASE_TENSORS, i);
    if (all ? r[1] == old : i == one) r[1] = new;
  }
  return 1;
}

static int change_rank(scene *s) {
  place p;
  if (!s->count[CASE_TENSORS]) return 0;
  size_t tensor = below(s->count[CASE_TENSORS]);
  if (!find(s, tensor, SIZE_MAX, SIZE_MAX, &p)) return 0;
  int64_t *rank = record(s, CASE_TENSORS, tensor) + 2;
  if (below(2)) {
    if (!splice(s, CASE_INTS, p.ints, 0, 1)) return 0;
    s->at[CASE_INTS].words[p.ints] = 1;
    ++*rank;
  } else {
    if (*rank < 1 || !splice(s, CASE_INTS, p.ints + below((size_t)*rank), 1, 0)) return 0;
    --*rank;
  }
  return 1;
}

static int change_kind(scene *s) {
  if (!s->count[CASE_NODES]) return 0;
  int64_t at = text(s, PICK(kinds));
  record(s, CASE_NODES, below(s->count[CASE_NODES]))[0] = at;
  return 1;
}

static int drop_attr(scene *s) {
  place p;
  if (!s->count[CASE_ATTRS]) return 0;
  size_t attr = below(s->count[CASE_ATTRS]), node = owner(s, attr);
  if (!find(s, SIZE_MAX, SIZE_MAX, attr, &p) || node >= s->count[CASE_NODES]) return 0;
  const int64_t *r = record(s, CASE_ATTRS, attr);
  if (r[1] == IEC_ATTR_INTS && !splice(s, CASE_INTS, p.ints, (size_t)r[3], 0)) return 0;
  if (r[1] == IEC_ATTR_FLOATS && !splice(s, CASE_DOUBLES, p.doubles, (size_t)r[3], 0)) return 0;
  if (r[1] == IEC_ATTR_FLOAT && !splice(s, CASE_DOUBLES, p.doubles, 1, 0)) return 0;
  splice(s, CASE_ATTRS, attr, 1, 0);
  --record(s, CASE_NODES, node)[6];
  return 1;
}

static int add_attr(scene *s) {
  place p;
  if (!s->count[CASE_NODES]) return 0;
  size_t node = below(s->count[CASE_NODES]);
  if (!find(s, SIZE_MAX, node, SIZE_MAX, &p) || !splice(s, CASE_ATTRS, p.attrs, 0, 1)) return 0;
  ++record(s, CASE_NODES, node)[6];
  int64_t made[4] = {text(s, PICK(names)), IEC_ATTR_INT, 0, 1};
  switch (below(3)) {
    case 0: made[2] = word(1); break;
    case 1:
      made[1] = IEC_ATTR_STR;
      made[2] = text(s, PICK(texts));
      break;
    default:
      made[1] = IEC_ATTR_INTS;
      made[3] = (int64_t)below(5);
      if (!splice(s, CASE_INTS, p.ints, 0, (size_t)made[3])) return 0;
      for (int64_t i = 0; i < made[3]; i++) s->at[CASE_INTS].words[p.ints + (size_t)i] = word(1);
  }
  memcpy(record(s, CASE_ATTRS, p.attrs), made, sizeof made);
  return 1;
}

/* A list attribute becomes longer or shorter by one. */
static int change_list(scene *s) {
  place p;
  if (!s->count[CASE_ATTRS]) return 0;
  size_t attr = below(s->count[CASE_ATTRS]);
  int64_t *r = record(s, CASE_ATTRS, attr);
  if ((r[1] != IEC_ATTR_INTS && r[1] != IEC_ATTR_FLOATS) || !find(s, SIZE_MAX, SIZE_MAX, attr, &p)) return 0;
  int section = r[1] == IEC_ATTR_INTS ? CASE_INTS : CASE_DOUBLES;
  size_t at = r[1] == IEC_ATTR_INTS ? p.ints : p.doubles;
  size_t out = below(2);
  if ((out && !r[3]) || !splice(s, section, at, out, 1 - out)) return 0;
  r[3] += out ? -1 : 1;
  return 1;
}

/* An input of a node, or a result, becomes another tensor, absent, or one more or one less. */
static int change_port(scene *s) {
  place p;
  if (!s->count[CASE_NODES]) return 0;
  size_t node = below(s->count[CASE_NODES]);
  if (!find(s, SIZE_MAX, node, SIZE_MAX, &p)) return 0;
  int64_t *n = record(s, CASE_NODES, node), tensors = record(s, CASE_GRAPHS, p.graph)[1];
  int64_t tensor = (int64_t)below((size_t)tensors);
  if (n[4] + n[5] < 1 || p.ports + (size_t)(n[4] + n[5]) > s->count[CASE_PORTS]) return 0;
  switch (below(4)) {
    case 0:
      if (!n[4] || !splice(s, CASE_PORTS, p.ports + (size_t)n[4] - 1, 1, 0)) return 0;
      n[4]--;
      return 1;
    case 1:
      if (!splice(s, CASE_PORTS, p.ports + (size_t)n[4], 0, 1)) return 0;
      s->at[CASE_PORTS].words[p.ports + (size_t)n[4]++] = tensor;
      return 1;
    case 2:
      s->at[CASE_PORTS].words[p.ports + below((size_t)(n[4] + n[5]))] = below(2) ? -1 : tensor;
      return 1;
    default:
      if (!n[4]) return 0;
      s->at[CASE_PORTS].words[p.ports + below((size_t)n[4])] = tensor;
      return 1;
  }
}

/* A constant becomes an input of the network, or an input a constant. */
static int change_role(scene *s) {
  int64_t *graph = record(s, CASE_GRAPHS, 0);
  if (!s->count[CASE_GRAPHS] || !s->count[CASE_TENSORS]) return 0;
  int64_t tensor = (int64_t)below((size_t)graph[1] & 0xffff);
  if ((size_t)tensor >= s->count[CASE_TENSORS] || graph[3] < 0 || (size_t)graph[3] > s->count[CASE_PORTS])
    return 0;
  int64_t *r = record(s, CASE_TENSORS, (size_t)tensor);
  if (r[3]) {
    if (!splice(s, CASE_PORTS, (size_t)graph[3], 0, 1)) return 0;
    s->at[CASE_PORTS].words[graph[3]++] = tensor;
    r[3] = r[4] = 0;
    return 1;
  }
  for (int64_t i = 0; i < graph[3]; i++) {
    if (s->at[CASE_PORTS].words[i] != tensor) continue;
    splice(s, CASE_PORTS, (size_t)i, 1, 0);
    graph[3]--;
    r[3] = 1 + (int64_t)below(s->count[CASE_DATA] + 1);
    return 1;
  }
  return 0;
}

static int change_data(scene *s) {
  size_t size = s->count[CASE_DATA];
  size_t new = LLVMFuzzerMutate(s->at[CASE_DATA].bytes, size, size < 64 ? 64 : size);
  s->count[CASE_DATA] = new;
  return 1;
}

static int change_flags(scene *s) {
  s->flags = (uint8_t)next();
  s->place = (uint8_t)below(256);
  return 1;
}

/* Behind the graph of `s` comes the one of `other`, reading what `s` has computed. Neither has bodies. */
static int append(scene *s, const scene *other) {
  if (s->count[CASE_GRAPHS] != 1 || other->count[CASE_GRAPHS] != 1) return 0;
  int64_t *graph = record(s, CASE_GRAPHS, 0);
  const int64_t *more = other->at[CASE_GRAPHS].words;
  for (int k = 1; k < 5; k++)
    if (graph[k] < 0 || more[k] < 0 || graph[k] > 0xffff || more[k] > 0xffff) return 0;
  size_t old[CASE_SECTIONS], inputs = (size_t)graph[3], outputs = (size_t)graph[4];
  memcpy(old, s->count, sizeof old);
  size_t dims = 0, others = 0; /* ints that are shapes come before those of attributes */
  for (size_t i = 0; i < old[CASE_TENSORS]; i++) dims += (size_t)record(s, CASE_TENSORS, i)[2] & 15;
  for (size_t i = 0; i < other->count[CASE_TENSORS]; i++)
    others += (size_t)other->at[CASE_TENSORS].words[5 * i + 2] & 15;
  size_t border = inputs + outputs, theirs = (size_t)(more[3] + more[4]);
  if (dims > old[CASE_INTS] || others > other->count[CASE_INTS] || border > old[CASE_PORTS] ||
      theirs > other->count[CASE_PORTS])
    return 0;
  if (old[CASE_TENSORS] != (size_t)graph[1] || !old[CASE_TENSORS]) return 0;
  for (int i = 0; i < CASE_SECTIONS; i++)
    if (i != CASE_GRAPHS && !splice(s, i, old[i], 0, other->count[i])) return 0;
  /* everything behind everything, then shapes and borders where they belong */
  for (int i = 0; i < CASE_SECTIONS; i++)
    if (i != CASE_GRAPHS)
      memcpy(s->at[i].bytes + old[i] * case_item[i], other->at[i].bytes, other->count[i] * case_item[i]);
  int64_t *ints = s->at[CASE_INTS].words, *ports = s->at[CASE_PORTS].words;
  memmove(ints + dims + others, ints + dims, (old[CASE_INTS] - dims) * 8);
  memcpy(ints + dims, other->at[CASE_INTS].words, others * 8);
  size_t strings = old[CASE_STRINGS];
  for (size_t i = old[CASE_TENSORS]; i < s->count[CASE_TENSORS]; i++) {
    int64_t *r = record(s, CASE_TENSORS, i);
    r[0] += (int64_t)strings;
    if (r[3]) r[3] += (int64_t)old[CASE_DATA];
  }
  for (size_t i = old[CASE_NODES]; i < s->count[CASE_NODES]; i++)
    for (int k = 0; k < 4; k++) record(s, CASE_NODES, i)[k] += (int64_t)strings;
  for (size_t i = old[CASE_ATTRS]; i < s->count[CASE_ATTRS]; i++) {
    int64_t *r = record(s, CASE_ATTRS, i);
    r[0] += (int64_t)strings;
    if (r[1] == IEC_ATTR_STR) r[2] += (int64_t)strings;
  }
  for (size_t i = old[CASE_PORTS]; i < s->count[CASE_PORTS]; i++)
    if (ports[i] >= 0) ports[i] += (int64_t)old[CASE_TENSORS];
  /* the other's first input is a result of ours, the rest are inputs too */
  size_t at = old[CASE_PORTS], taken = more[3] && below(4) ? 1 : 0;
  int64_t borders[256], first = ports[at], result = outputs ? ports[inputs + below(outputs)] : 0;
  size_t n = 0;
  if (border + theirs > 250) return 0;
  for (size_t i = 0; i < inputs; i++) borders[n++] = ports[i];
  for (size_t i = taken; i < (size_t)more[3]; i++) borders[n++] = ports[at + i];
  for (size_t i = 0; i < outputs; i++)
    if (below(2)) borders[n++] = ports[inputs + i], graph[4] += 1;
  for (size_t i = 0; i < (size_t)more[4]; i++) borders[n++] = ports[at + (size_t)more[3] + i];
  if (taken)
    for (size_t i = at + theirs; i < s->count[CASE_PORTS]; i++)
      if (ports[i] == first) ports[i] = result;
  graph[3] += more[3] - (int64_t)taken;
  graph[4] = (int64_t)n - graph[3];
  splice(s, CASE_PORTS, at, theirs, 0);
  splice(s, CASE_PORTS, 0, border, n);
  memcpy(s->at[CASE_PORTS].words, borders, n * 8);
  graph[1] += more[1];
  graph[2] += more[2];
  for (size_t i = 0; i < s->count[CASE_NODES]; i++) { /* names are unique */
    char name[] = {'n', (char)('a' + i / 26 % 26), (char)('a' + i % 26), 0};
    record(s, CASE_NODES, i)[1] = text(s, name);
  }
  if (taken) { /* ours and the tensor that it stands for have the same type, or nearly nothing fits */
    const int64_t *from = record(s, CASE_TENSORS, (size_t)first % s->count[CASE_TENSORS]);
    int64_t *to = record(s, CASE_TENSORS, (size_t)result % s->count[CASE_TENSORS]);
    if (below(2)) to[1] = from[1];
  }
  return 1;
}

static int (*const mutations[])(scene *) = {
    change_word,      change_word,  change_number, change_attr, change_attr, change_dimension,
    change_dimension, change_dtype, change_rank,   change_kind, drop_attr,   add_attr,
    change_list,      change_port,  change_role,   change_data, change_flags};

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed) {
  static scene s;
  state = seed * 0x9E3779B97F4A7C15u + 1;
  next();
  size_t other = kept_count && below(4) ? below(kept_count) : KEPT;
  if (other < KEPT && kept[other].size <= max_size) memcpy(data, kept[other].bytes, size = kept[other].size);
  if (!read_scene(&s, data, size)) return LLVMFuzzerMutate(data, size, max_size);
  for (size_t left = 1 + below(3), tries = 20; left && tries; tries--)
    left -= (size_t)(PICK(mutations)(&s) != 0);
  if (below(16)) repair(&s);
  size_t written = write_scene(&s, data, max_size);
  return written ? written : size;
}

size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
                                 uint8_t *out, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
                                 uint8_t *out, size_t max_size, unsigned seed) {
  static scene s, other;
  state = seed * 0x9E3779B97F4A7C15u + 1;
  next();
  if (!read_scene(&s, a, a_size) || !read_scene(&other, b, b_size) || !append(&s, &other)) return 0;
  return write_scene(&s, out, max_size);
}
