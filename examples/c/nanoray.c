/* Judge a radiograph with NanoRay in C: ONNX Runtime's C API and the C library, nothing else.
 *
 *     nanoray export models/nanoray-student-fp32.onnx --format c --output build
 *     cc -O2 -std=c11 -I build -include build/nanoray-student-fp32.h examples/c/nanoray.c \
 *         -I ONNXRUNTIME/include -L ONNXRUNTIME/lib -lonnxruntime -lm -o nanoray
 *     ./nanoray radiograph.pgm [AP|PA]
 *
 * It reads a binary PGM (P5, 8 or 16 bits) of an upright frontal radiograph with bright bone, fits
 * it into the network's square as the Python package does, and prints one line of JSON. Where the
 * view is not given, the network tells it, if it is sure. Exit status: 0, or 1 with a reason on
 * standard error. Research use only: not a medical device; not for diagnosis or treatment.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnxruntime_c_api.h"

#ifndef NANORAY_SIZE
#error "include the header that nanoray export --format c writes: cc -include MODEL.h"
#endif

#define MOST_PIXELS 100000000L /* as the Python reader: 100 megapixels */

static const OrtApi *ort;

static void fail(const char *reason) {
    fprintf(stderr, "nanoray: %s\n", reason);
    exit(1);
}

static void check(OrtStatus *status) {
    if (status != NULL) fail(ort->GetErrorMessage(status));
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL) fail("out of memory");
    return memory;
}

/* The next number of a PGM's header, past white space and comments. */
static long header_number(FILE *file) {
    int c = getc(file);
    while (c == '#' || isspace(c)) {
        if (c == '#')
            while (c != '\n' && c != EOF) c = getc(file);
        c = getc(file);
    }
    long value = 0;
    if (!isdigit(c)) fail("not a binary PGM file (P5)");
    while (isdigit(c)) {
        value = 10 * value + (c - '0');
        if (value > MOST_PIXELS) fail("a number in the header is too large");
        c = getc(file);
    }
    if (!isspace(c)) fail("not a binary PGM file (P5)");
    return value; /* the one white space after it is consumed */
}

/* Grey values 0..1 of a PGM file, row by row. */
static float *read_pgm(const char *path, long *rows, long *columns) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) fail("the file cannot be opened");
    if (getc(file) != 'P' || getc(file) != '5') fail("not a binary PGM file (P5)");
    *columns = header_number(file);
    *rows = header_number(file);
    long top = header_number(file);
    if (*columns < 1 || *rows < 1 || *rows > MOST_PIXELS / *columns) fail("the size is not possible");
    if (top < 1 || top > 65535) fail("the maximum grey value is not possible");
    size_t count = (size_t)*rows * (size_t)*columns, bytes = top > 255 ? 2 : 1;
    unsigned char *data = allocate(count, bytes);
    if (fread(data, bytes, count, file) != count) fail("the file ends before its pixels do");
    fclose(file);
    float *grey = allocate(count, sizeof *grey);
    for (size_t i = 0; i < count; i++) {
        long value = bytes == 2 ? data[2 * i] << 8 | data[2 * i + 1] : data[i];
        grey[i] = (float)(value > top ? top : value) / (float)top;
    }
    free(data);
    return grey;
}

/* Resize along one axis by a triangle whose support grows with the reduction (antialiased
 * bilinear). `lines` lines lie `line_step` apart; samples along the axis lie `step` apart. */
static void resize(const float *from, long length, long step, float *to, long wanted, long to_step,
                   long lines, long line_step, long to_line_step) {
    double scale = (double)length / wanted, support = scale > 1 ? scale : 1;
    double *weights = allocate((size_t)length, sizeof *weights);
    for (long i = 0; i < wanted; i++) {
        double centre = (i + 0.5) * scale, total = 0;
        long first = (long)(centre - support + 0.5), last = (long)(centre + support + 0.5);
        if (first < 0) first = 0;
        if (last > length) last = length;
        for (long j = first; j < last; j++) {
            double weight = 1 - fabs(j + 0.5 - centre) / support;
            weights[j] = weight > 0 ? weight : 0;
            total += weights[j];
        }
        for (long line = 0; line < lines; line++) {
            double sum = 0;
            for (long j = first; j < last; j++) sum += weights[j] * from[line * line_step + j * step];
            to[line * to_line_step + i * to_step] = (float)(sum / total);
        }
    }
    free(weights);
}

/* The largest centred picture of the same aspect ratio in a square, padded with 0 (black). */
static float *letterbox(const float *grey, long rows, long columns) {
    long size = NANORAY_SIZE, longest = rows > columns ? rows : columns;
    long height = (long)((double)rows * size / longest + 0.5);
    long width = (long)((double)columns * size / longest + 0.5);
    if (height < 1) height = 1;
    if (width < 1) width = 1;
    float *lower = allocate((size_t)height * columns, sizeof *lower);
    float *square = allocate((size_t)size * size, sizeof *square);
    resize(grey, rows, columns, lower, height, columns, columns, 1, 1);
    resize(lower, columns, 1, square + (size - height) / 2 * size + (size - width) / 2, width, 1,
           height, columns, size);
    free(lower);
    return square;
}

/* Replace each pixel that is not black by the share of these that are darker, where the model was
 * trained so: 1,024 bins, linear within a bin. */
static void equalize(float *square) {
    enum { BINS = 1024 };
    long count = (long)NANORAY_SIZE * NANORAY_SIZE, bins[BINS] = {0}, below[BINS], total = 0;
    for (long i = 0; i < count; i++) {
        if (square[i] < 4.0f / 255) {
            square[i] = 0;
            continue;
        }
        long bin = (long)(square[i] * BINS);
        bins[bin < BINS ? bin : BINS - 1]++;
    }
    for (long bin = 0; bin < BINS; bin++) {
        below[bin] = total;
        total += bins[bin];
    }
    for (long i = 0; i < count; i++) {
        if (square[i] == 0) continue;
        long bin = (long)(square[i] * BINS);
        if (bin >= BINS) bin = BINS - 1;
        square[i] = (float)((below[bin] + (square[i] * BINS - bin) * bins[bin]) / total);
    }
}

enum { LOGIT, NOVELTY, VIEW, OUTPUTS };

/* Run the network on a square. */
static void judge(float *square, float found[OUTPUTS]) {
    OrtEnv *env;
    OrtSessionOptions *options;
    OrtSession *session;
    OrtMemoryInfo *memory;
    OrtValue *input = NULL, *outputs[OUTPUTS] = {NULL};
    const int64_t shape[] = {1, 1, NANORAY_SIZE, NANORAY_SIZE};
    const size_t bytes = sizeof(float) * NANORAY_SIZE * NANORAY_SIZE;
    const char *in[] = {NANORAY_INPUT}, *out[OUTPUTS] = {"logit", "novelty", "view"};
    const int count = NANORAY_HAS_VIEW ? OUTPUTS : VIEW;
    check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "nanoray", &env));
    check(ort->DisableTelemetryEvents(env)); /* no usage events about radiographs */
    check(ort->CreateSessionOptions(&options));
    check(ort->SetIntraOpNumThreads(options, 1));
    check(ort->CreateSessionFromArray(env, nanoray_model, NANORAY_MODEL_LENGTH, options, &session));
    check(ort->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
    check(ort->CreateTensorWithDataAsOrtValue(memory, square, bytes, shape, 4,
                                              ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input));
    check(ort->Run(session, NULL, in, (const OrtValue *const *)&input, 1, out, count, outputs));
    found[VIEW] = 0;
    for (int i = 0; i < count; i++) {
        float *values;
        check(ort->GetTensorMutableData(outputs[i], (void **)&values));
        found[i] = values[0];
        ort->ReleaseValue(outputs[i]);
    }
    ort->ReleaseValue(input);
    ort->ReleaseMemoryInfo(memory);
    ort->ReleaseSession(session);
    ort->ReleaseSessionOptions(options);
    ort->ReleaseEnv(env);
}

/* Index of a view's calibration; that of every view where it is unknown or has none. */
static int calibration_of(const char *view) {
    for (int i = 1; i < NANORAY_CALIBRATIONS; i++)
        if (strcmp(nanoray_calibrations[i].view, view) == 0) return i;
    return 0;
}

int main(int count, char **arguments) {
    const char *view = count == 3 ? arguments[2] : "";
    if (count < 2 || count > 3 || (*view && strcmp(view, "AP") && strcmp(view, "PA")))
        fail("usage: nanoray RADIOGRAPH.pgm [AP|PA]");
    ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);
    if (ort == NULL) fail("the library is older than the header that this was compiled with");
    long rows, columns;
    float found[OUTPUTS], *grey = read_pgm(arguments[1], &rows, &columns);
    float *square = letterbox(grey, rows, columns);
    free(grey);
    if (NANORAY_EQUALIZE) equalize(square);
    judge(square, found);
    free(square);
    if (!*view && fabs(found[VIEW]) >= NANORAY_VIEW_CERTAIN) view = found[VIEW] > 0 ? "AP" : "PA";
    int of = calibration_of(view);
    double shifted = found[LOGIT] + nanoray_calibrations[of].shift;
    double probability = 1 / (1 + exp(-shifted / nanoray_calibrations[of].temperature));
    double threshold = nanoray_calibrations[of].threshold[NANORAY_DEFAULT];
    /* Written so that a novelty or a logit that is no number abstains too. */
    int known = found[NOVELTY] <= NANORAY_NOVELTY_LIMIT && isfinite(found[LOGIT]);
    const char *decision = !known                     ? "abstained"
                           : probability >= threshold ? "opacity suspected"
                                                      : "no opacity suspected";
    printf("{\"probability\": %.6f, \"threshold\": %.6f, \"logit\": %.5f, \"novelty\": %.5f, "
           "\"view\": \"%s\", \"decision\": \"%s\", \"operating_point\": \"%s\", "
           "\"model\": \"%s %s\"}\n",
           probability, threshold, found[LOGIT], found[NOVELTY], *view ? view : "unknown", decision,
           NANORAY_OPERATING_POINT, NANORAY_NAME, NANORAY_VERSION);
    fprintf(stderr, "%s\n", NANORAY_NOTICE);
    return 0;
}
