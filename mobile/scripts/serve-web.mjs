/**
 * Serve dist/web: `node scripts/serve-web.mjs [--port 8080]`.
 *
 * Files are sent compressed; the headers forbid the page to reach any other host.
 */

import { createServer } from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import sirv from "sirv";

const ROOT = fileURLToPath(new URL("../dist/web", import.meta.url));

const HEADERS = {
  "Content-Security-Policy":
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval' blob:; worker-src 'self' blob:; " +
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self' blob: data:; " +
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "Referrer-Policy": "no-referrer",
  "X-Content-Type-Options": "nosniff",
  "Cache-Control": "no-cache",
};

/**
 * A server on a port of the system's choice, or on the one given; `base` is that of the build. `changing`
 * serves files that change meanwhile, which are else listed once.
 */
export function serve(port = 0, root = ROOT, { base = "", changing = false } = {}) {
  const files = sirv(root, {
    dev: changing,
    brotli: true,
    gzip: true,
    etag: true,
    single: `${base}/index.html`.slice(1),
    setHeaders: (response) => {
      for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    },
  });
  const served = [];
  const sockets = [];
  const server = createServer((request, response) => {
    served.push(request.url);
    files(request, response);
  });
  server.on("connection", (socket) => sockets.push(socket));
  return new Promise((resolve, reject) => {
    server.on("error", reject);
    server.listen(port, "127.0.0.1", () => {
      resolve({
        url: `http://127.0.0.1:${server.address().port}`,
        /** Addresses that were asked for, in their order. */
        served,
        /** Bytes sent so far, headers included. */
        sent: () => sockets.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0),
        close: () => {
          server.closeAllConnections();
          return new Promise((done) => server.close(done));
        },
      });
    });
  });
}

if (path.resolve(process.argv[1] ?? "") === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { port: { type: "string", default: "8080" } } });
  const { url } = await serve(Number(values.port));
  console.log(`NanoRay: ${url}   (stop with Ctrl+C)`);
}
