/** Pixels in memory in a browser: a canvas. */

import { useEffect, useRef } from "react";

import type { PictureProps } from "./Picture";

export function Picture({ picture, width, height, opacity = 1 }: PictureProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    context?.putImageData(new ImageData(picture.data, picture.columns, picture.rows), 0, 0);
  }, [picture]);
  return (
    <canvas
      ref={canvas}
      width={picture.columns}
      height={picture.rows}
      aria-hidden
      style={{ position: "absolute", width, height, opacity }}
    />
  );
}
