/* Run a model file so many times on a grey square, for counting instructions; see instructions.py.
 *
 *     instructions MODEL.onnx SIDE RUNS
 */
#include <stdio.h>
#include <stdlib.h>

#include "onnxruntime_c_api.h"

static const OrtApi *ort;

static void check(OrtStatus *status) {
    if (status == NULL) return;
    fprintf(stderr, "instructions: %s\n", ort->GetErrorMessage(status));
    exit(1);
}

int main(int count, char **arguments) {
    if (count != 4) return 2;
    long side = atol(arguments[2]), runs = atol(arguments[3]);
    float *square = malloc(sizeof *square * (size_t)(side * side));
    if (square == NULL) return 1;
    for (long i = 0; i < side * side; i++) square[i] = (float)(i * 7919 % 256) / 255;
    ort = OrtGetApiBase()->GetApi(ORT_API_VERSION);
    OrtEnv *env;
    OrtSessionOptions *options;
    OrtSession *session;
    OrtMemoryInfo *memory;
    OrtValue *input = NULL;
    const int64_t shape[] = {1, 1, side, side};
    const char *in[] = {"radiograph"}, *out[] = {"logit"};
    check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "instructions", &env));
    check(ort->DisableTelemetryEvents(env));
    check(ort->CreateSessionOptions(&options));
    check(ort->SetIntraOpNumThreads(options, 1));
    check(ort->CreateSession(env, arguments[1], options, &session));
    check(ort->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
    check(ort->CreateTensorWithDataAsOrtValue(memory, square, sizeof *square * side * side, shape, 4,
                                              ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &input));
    for (long run = 0; run < runs; run++) {
        OrtValue *output = NULL;
        float *value;
        check(ort->Run(session, NULL, in, (const OrtValue *const *)&input, 1, out, 1, &output));
        check(ort->GetTensorMutableData(output, (void **)&value));
        if (run == runs - 1) printf("%.5f\n", *value);
        ort->ReleaseValue(output);
    }
    return 0;
}
