#!/usr/bin/env bash
# The commands that made the packaged model, from data sets and ImageNet weights in a folder.
#
#     examples/train_models.sh DATA WEIGHTS
#
# DATA holds rsna, rsna_lungs, other and kermany, WEIGHTS the two ImageNet files. Each stage resumes
# or is skipped when its run folder has what it makes. About two hours on two CPU cores.
set -euo pipefail
data=$1 weights=$2
nanoray=${NANORAY:-nanoray}
small=$weights/mobilenet_v3_small_imagenet_trunk.safetensors
large=$weights/resnet50_v1_imagenet_pruned.safetensors.gz

done_already() { test -e "$1/result.json"; }

# The student's trunk learns radiographs from four data sets at once.
done_already runs/pretrain || $nanoray train pretrain "$data/rsna" \
    --extra "$data/rsna_lungs" --extra "$data/other" --extra "$data/kermany/train" \
    --weights "$small" --size 192 --epochs 7 --output runs/pretrain

done_already runs/teacher || $nanoray train teacher "$data/rsna" --extra "$data/rsna_lungs" \
    --architecture resnet50_v1 --weights "$large" --size 176 --epochs 3 --extra-per-epoch 8000 \
    --average-decay 0.99 --precision bf16-mixed --output runs/teacher

# Student and baseline differ in the teacher alone.
common=("$data/rsna" --extra "$data/rsna_lungs" --extra-per-epoch 3000 --from runs/pretrain
    --size 256 --epochs 5 --batch-size 64)
done_already runs/student || $nanoray distill "${common[@]}" --teacher runs/teacher \
    --output runs/student
done_already runs/baseline || $nanoray train baseline "${common[@]}" --output runs/baseline

$nanoray quantize runs/student "$data/rsna" --extra "$data/other" --extra "$data/kermany/train" \
    --output runs/models
$nanoray quantize runs/baseline "$data/rsna" --fp32-only --output runs/models
$nanoray quantize runs/teacher "$data/rsna" --fp32-only --output runs/models
