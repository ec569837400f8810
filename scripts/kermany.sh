#!/usr/bin/env bash
# A second benchmark: the paediatric radiographs of Kermany et al. 2018, official test part of 624.
#
#     scripts/kermany.sh DATA WEIGHTS
#
# DATA has train/ and test/ with a folder per class, WEIGHTS the ImageNet file of MobileNetV3-Small.
# The student begins with ImageNet, or with FROM=RUN with a run on other radiographs; one that saw
# this training part saw what is validated on here, so that then the last epoch is kept and the
# thresholds are optimistic, but the test part is untouched. With TEACHER=1 a ResNet-50 is trained
# before, and taught. Each stage resumes or is skipped when its result is there.
set -euo pipefail
data=$1 weights=$2
nanoray=${NANORAY:-nanoray}
small=$weights/mobilenet_v3_small_imagenet_trunk.safetensors
large=$weights/resnet50_v1_imagenet_pruned.safetensors.gz
prepared=${PREPARED:-runs/kermany/data} output=${OUTPUT:-runs/kermany}

# Its own test part; validation by patient, from the training part.
test -e "$prepared/labels.csv" || $nanoray prepare folder "$data" --size 320 --output "$prepared"

common=("$prepared" --size 224 --epochs "${EPOCHS:-6}" --batch-size 64)
start=(--architecture mobilenet_v3_small_minimal --weights "$small")
if test -n "${FROM:-}"; then
    start=(--from "$FROM" --keep last --learning-rate 5e-4)
fi
if test -n "${TEACHER:-}"; then
    $nanoray train teacher "$prepared" --architecture resnet50_v1 --weights "$large" --size 176 \
        --epochs 3 --precision bf16-mixed --output "$output"/teacher
    $nanoray distill "${common[@]}" "${start[@]}" --teacher "$output"/teacher \
        --output "$output"/student
else
    $nanoray train baseline "${common[@]}" "${start[@]}" --output "$output"/student
fi

$nanoray quantize "$output"/student "$prepared" --name nanoray-kermany \
    --training-data "Kermany et al. 2018, its training part" \
    --licence "Research use; radiographs CC BY 4.0 (Kermany, Zhang and Goldbaum 2018)" \
    --output "$output"/models
$nanoray evaluate "$output"/models/*.onnx --data "$prepared" \
    --split "$output"/student/split.csv --output "$output"/results
