#!/usr/bin/env bash
# The commands that made the packaged model, from data sets and ImageNet weights in a folder.
#
#     scripts/train_models.sh DATA WEIGHTS
#
# DATA holds rsna, rsna_lungs, other and kermany. WEIGHTS holds the ImageNet weights of
# MobileNetV3-Small and ResNet-50, and efficientnet_lite0.safetensors, which
# `scripts/efficientnet_lite_weights.py` makes. Each stage resumes or is skipped when its run folder
# has what it makes. About three hours on two CPU cores.
set -euo pipefail
data=$1 weights=$2
nanoray=${NANORAY:-nanoray}
small=$weights/mobilenet_v3_small_imagenet_trunk.safetensors
large=$weights/resnet50_v1_imagenet_pruned.safetensors.gz
lite=$weights/efficientnet_lite0.safetensors

done_already() { test -e "$1/result.json"; }

# The small trunk learns radiographs from four data sets at once.
done_already runs/pretrain || $nanoray train pretrain "$data/rsna" \
    --extra "$data/rsna_lungs" --extra "$data/other" --extra "$data/kermany/train" \
    --weights "$small" --size 192 --epochs 7 --output runs/pretrain

# The recipe's teacher, and the one that was better.
done_already runs/resnet50 || $nanoray train teacher "$data/rsna" --extra "$data/rsna_lungs" \
    --architecture resnet50_v1 --weights "$large" --size 176 --epochs 3 --extra-per-epoch 8000 \
    --average-decay 0.99 --precision bf16-mixed --output runs/resnet50
done_already runs/lite || $nanoray train teacher "$data/rsna" --extra "$data/rsna_lungs" \
    --architecture tf_efficientnet_lite0 --weights "$lite" --size 224 --epochs 3 \
    --extra-per-epoch 6000 --average-decay 0.99 --precision bf16-mixed --output runs/lite

# The recipe's baseline: MobileNetV3-Small without a teacher.
done_already runs/baseline || $nanoray train baseline "$data/rsna" --extra "$data/rsna_lungs" \
    --extra-per-epoch 3000 --from runs/pretrain --size 256 --epochs 5 --batch-size 64 \
    --output runs/baseline

# The student: the same network without squeeze-and-excite and hard-swish.
done_already runs/student || $nanoray distill "$data/rsna" --extra "$data/rsna_lungs" \
    --teacher runs/lite --teacher runs/baseline --from runs/pretrain \
    --architecture mobilenet_v3_small_minimal --size 256 --epochs 10 --extra-per-epoch 6000 \
    --batch-size 64 --learning-rate 1e-3 --average-decay 0.995 --output runs/student

# Further training, with rounding as in the INT8 file.
done_already runs/aware || $nanoray distill "$data/rsna" --extra "$data/rsna_lungs" \
    --teacher runs/lite --teacher runs/baseline --from runs/student --quantization-aware \
    --size 256 --epochs 3 --extra-per-epoch 3000 --batch-size 64 --learning-rate 2e-4 \
    --average-decay 0.99 --output runs/aware

# To compare: a ViT-Tiny, for which no ImageNet weights were at hand.
done_already runs/vit || $nanoray distill "$data/rsna" --extra "$data/rsna_lungs" \
    --extra "$data/other" --teacher runs/lite --teacher runs/baseline \
    --architecture vit_tiny_patch16_224 --random-weights --size 160 --epochs 5 \
    --extra-per-epoch 6000 --batch-size 64 --learning-rate 5e-4 --average-decay 0.99 \
    --precision bf16-mixed --output runs/vit

# The challenge's share of images with an opacity.
prevalence=(--prevalence 0.225)
$nanoray quantize runs/aware "$data/rsna" --extra "$data/other" --extra "$data/kermany/train" \
    --calibration percentile "${prevalence[@]}" --name nanoray-student --output runs/models
for run in resnet50 lite baseline vit; do
    $nanoray quantize "runs/$run" "$data/rsna" "${prevalence[@]}" --fp32-only \
        --name "nanoray-$run" --output runs/models
done
