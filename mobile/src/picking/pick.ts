/** Files, gallery and camera, by the device's own pickers. */

import * as DocumentPicker from "expo-document-picker";
import * as ImagePicker from "expo-image-picker";

import type { PickedFile } from "@/screens/Workbench";

import { contentOf } from "./content";

/** Any number of files; none if the user changed their mind. */
export async function pickFiles(): Promise<PickedFile[]> {
  const picked = await DocumentPicker.getDocumentAsync({ multiple: true, copyToCacheDirectory: true, base64: false });
  return (picked.assets ?? []).map((asset) => ({
    name: asset.name,
    content: () => contentOf(asset.uri, asset.file),
  }));
}

/** Any number of pictures of the gallery; as JPEG where the device would give HEIC. */
export async function pickFromGallery(): Promise<PickedFile[]> {
  const picked = await ImagePicker.launchImageLibraryAsync({
    mediaTypes: "images",
    allowsMultipleSelection: true,
    quality: 1,
    preferredAssetRepresentationMode: ImagePicker.UIImagePickerPreferredAssetRepresentationMode.Compatible,
  });
  return (picked.assets ?? []).map(asPicked);
}

/** A new photograph; null if none was taken, "denied" if the camera may not be used. */
export async function takePhotograph(): Promise<PickedFile | "denied" | null> {
  const permission = await ImagePicker.requestCameraPermissionsAsync();
  if (!permission.granted) return "denied";
  const taken = await ImagePicker.launchCameraAsync({
    mediaTypes: "images",
    quality: 1,
    exif: false,
    preferredAssetRepresentationMode: ImagePicker.UIImagePickerPreferredAssetRepresentationMode.Compatible,
  });
  const asset = taken.assets?.[0];
  return asset ? { ...asPicked(asset), camera: true } : null;
}

function asPicked(asset: ImagePicker.ImagePickerAsset): PickedFile {
  return {
    name: asset.fileName ?? asset.uri.split("/").at(-1) ?? "image",
    content: () => contentOf(asset.uri, asset.file),
  };
}
