/** What reading a file gives: the pixels of a radiograph, and the facts that came with them. */

/** An image of one channel, row by row. */
export interface Plane {
  readonly data: Float32Array;
  readonly rows: number;
  readonly columns: number;
}

/** Formats of pictures; the platform decodes HEIC, WebP and AVIF where it can. */
export type RasterFormat = "PNG" | "JPEG" | PlatformFormat;
export type PlatformFormat = "HEIC" | "WebP" | "AVIF";

/** Facts of a stored radiograph that do not identify the patient. */
export interface Facts {
  readonly format: "DICOM" | RasterFormat | "photograph";
  /** Size of the stored image in pixels, after EXIF rotation. */
  readonly rows: number;
  readonly columns: number;
  /** Significant bits of a stored sample. */
  readonly bitsStored: number;
  /** Photometric Interpretation (DICOM PS3.3 C.7.6.3.1.2); null outside DICOM. */
  readonly photometric: string | null;
  /** UID of the transfer syntax (PS3.5); null outside DICOM. */
  readonly transferSyntax: string | null;
  readonly modality: string | null;
  readonly bodyPart: string | null;
  readonly view: string | null;
  readonly sex: "M" | "F" | "O" | null;
  readonly ageYears: number | null;
  /** Whether a description or the body part means a child. */
  readonly child: boolean;
  /** Whether the stored image has colour that a grey image could not hold. */
  readonly colour: boolean;
  /** EXIF orientation by which the stored image was turned upright; 1 is as it was stored. */
  readonly orientation: number;
  /** Whether Presentation Intent Type (DICOM PS3.3 C.8.11.1) means raw data. */
  readonly forProcessing: boolean;
}

/** A radiograph ready to look at: pixels in 0..1, bright bone on dark. */
export interface Radiograph {
  readonly pixels: Plane;
  readonly facts: Facts;
}

/** Facts of an image without a header. */
export function plainFacts(
  format: Facts["format"],
  rows: number,
  columns: number,
  bitsStored: number,
  colour: boolean,
): Facts {
  return {
    format,
    rows,
    columns,
    bitsStored,
    photometric: null,
    transferSyntax: null,
    modality: null,
    bodyPart: null,
    view: null,
    sex: null,
    ageYears: null,
    child: false,
    colour,
    orientation: 1,
    forProcessing: false,
  };
}
