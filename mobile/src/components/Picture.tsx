/** Pixels in memory on a device: an image that is written as a PNG. */

import { useMemo } from "react";
import { Image } from "react-native";

import type { ColourPicture } from "@nanoray/web/detecting/heatmap";
import { toBase64 } from "@/history/record";
import { encode } from "@nanoray/web/reading/png";

export interface PictureProps {
  readonly picture: ColourPicture;
  readonly width: number;
  readonly height: number;
  readonly opacity?: number;
}

export function Picture({ picture, width, height, opacity = 1 }: PictureProps) {
  const uri = useMemo(() => {
    const { data, rows, columns } = picture;
    const png = encode({ data, width: columns, height: rows, channels: 4, depth: 8 }, { zlib: { level: 1 } });
    return `data:image/png;base64,${toBase64(png)}`;
  }, [picture]);
  return (
    <Image
      source={{ uri }}
      style={{ position: "absolute", width, height, opacity }}
      accessible={false}
      importantForAccessibility="no"
    />
  );
}
