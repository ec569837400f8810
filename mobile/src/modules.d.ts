/** Files that Metro takes for assets. */

declare module "*.onnx" {
  const asset: number;
  export default asset;
}
