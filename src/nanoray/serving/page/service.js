// Requests to the service. The API key stays in this tab's session storage.

const KEY = "nanoray-key";

/** An error answer: `status`, `code` and `message` of the problem document. */
export class ProblemError extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail || "the service did not answer");
    this.status = status;
    this.code = problem.code || "unknown";
    this.results = problem.results || [];
    this.retryAfter = retryAfter;
  }
}

let askForKey = async () => null;
let asking = null;

/** Set the function that asks for an API key and returns a promise of it. */
export function onKeyNeeded(ask) {
  askForKey = ask;
}

/** Whether this tab holds a key. */
export const signedIn = () => sessionStorage.getItem(KEY) !== null;

/** Delete the key. */
export function signOut() {
  sessionStorage.removeItem(KEY);
}

/** Fetch with the key, asking for one (once, whoever needs it) when the service does. */
export async function request(path, options = {}) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const headers = new Headers(options.headers);
    if (key) headers.set("Authorization", `Bearer ${key}`);
    const answer = await fetch(path, { ...options, headers, cache: "no-store" });
    if (answer.status === 401) {
      const refused = Boolean(key) && key === sessionStorage.getItem(KEY);
      if (key !== sessionStorage.getItem(KEY)) continue;
      asking ??= askForKey(refused).finally(() => {
        asking = null;
      });
      sessionStorage.setItem(KEY, await asking);
      continue;
    }
    if (!answer.ok) {
      const problem = await answer.json().catch(() => ({}));
      const wait = Number(answer.headers.get("Retry-After")) || 0;
      throw new ProblemError(answer.status, problem, wait);
    }
    return answer;
  }
}

/** JSON from a path. */
export async function json(path, options) {
  return (await request(path, options)).json();
}

/** Send JSON to a path: the answer. */
export function send(method, path, body) {
  return request(path, {
    method,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

/** Send JSON to a path: the answer's JSON. */
export async function exchange(method, path, body) {
  return (await send(method, path, body)).json();
}

/** Screen one file, waiting and trying again while the service is busy. */
export async function screen(file) {
  for (;;) {
    try {
      const form = new FormData();
      // The name is not sent: it may identify the patient.
      form.append("files", file, "radiograph");
      const body = await json("/v1/predictions", { method: "POST", body: form });
      return body.results[0];
    } catch (error) {
      if (error.status !== 429 && error.status !== 503) throw error;
      await new Promise((done) => setTimeout(done, 1000 * Math.max(1, error.retryAfter)));
    }
  }
}

/** Follow the service's events: `heard(kind, data)`, and `state("live" | "lost" | "off")`. */
export async function follow(heard, state) {
  for (;;) {
    try {
      const answer = await request("/v1/events");
      state("live");
      heard("reload", {});
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        text += value;
        let end;
        while ((end = text.indexOf("\n\n")) >= 0) {
          dispatch(text.slice(0, end), heard);
          text = text.slice(end + 2);
        }
      }
    } catch (error) {
      if (error.code === "store-nothing") {
        state("off");
        return;
      }
    }
    state("lost");
    await new Promise((done) => setTimeout(done, 2000));
  }
}

function dispatch(block, heard) {
  const fields = Object.fromEntries(
    block
      .split("\n")
      .filter((line) => line && !line.startsWith(":"))
      .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
  );
  if (fields.event && fields.event !== "ready") heard(fields.event, JSON.parse(fields.data));
}
