/** The path that the web app is hosted below: empty, or "/folder". `scripts/build-web.mjs` sets it. */

export function base(): string {
  return process.env.EXPO_BASE_URL ?? "";
}
