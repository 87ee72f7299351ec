import { MeshError, messageOf } from "./errors.ts";
import type { Clock, Logger } from "./host.ts";
import { type EndpointAnswer, type EndpointRequest, HttpEndpoint, jsonAnswer } from "./http-endpoint.ts";
import { jsonSlices } from "./json-slices.ts";
import { LOG_LEVELS } from "./log-levels.ts";
import type { LogScopes } from "./log.ts";
import { answerScopes, listScopes } from "./log-scope-api.ts";
import { VERSION } from "./version.ts";

const ADDRESS = "127.0.0.1";

/**
 * Istio's ControlZ, as far as istioctl uses it: log scopes at `/scopej`, and a page of them for people. It is for callers
 * of this machine, and what comes through a port-forward is one. ⇄
 */
export class ControlZ {
  readonly #scopes: LogScopes;
  readonly #log: Logger;
  readonly #endpoint: HttpEndpoint;

  constructor(clock: Clock, scopes: LogScopes) {
    this.#scopes = scopes;
    this.#log = scopes.scope("admin");
    this.#endpoint = new HttpEndpoint(clock, this.#log, (request) => this.#answer(request));
  }

  /** The port that it has, once started. */
  get port(): number {
    return this.#endpoint.port;
  }

  /** Levels can be changed on the admin port, too: a port that is taken is a warning. */
  async start(port: number): Promise<void> {
    try {
      await this.#endpoint.listen(ADDRESS, port);
      this.#log.info("ControlZ is served", { address: ADDRESS, port: this.port });
    } catch (thrown) {
      const fix = "give another port with --ctrlz_port, or off";
      this.#log.warn("ControlZ is not served", { address: ADDRESS, port, reason: messageOf(thrown), fix });
    }
  }

  close(): Promise<void> {
    return this.#endpoint.close();
  }

  async #answer(request: EndpointRequest): Promise<EndpointAnswer> {
    const { path, local, method } = request;
    if (!local) throw new MeshError("denied", "call it as localhost: other names may be somebody else's trick");
    const [, area = "", name = "", ...rest] = path.split("/");
    if (area === "scopej" && rest.length === 0) return answerScopes(this.#scopes, this.#log, request, name);
    if (method !== "GET")
      throw new MeshError("unsupported", "only log levels can be changed here: PUT /scopej/<scope>");
    if (path === "/") return { status: 200, contentType: "text/html; charset=utf-8", body: page(this.#scopes) };
    if (area === "versionj" && name === "")
      return jsonAnswer(200, jsonSlices({ version: VERSION, node: process.version }));
    throw new MeshError("absent", "here are /, /scopej and /versionj; variables and arguments may hold secrets");
  }
}

function page(scopes: LogScopes): string {
  const rows = listScopes(scopes).map(({ name, description, output_level: now }) => {
    const options = LOG_LEVELS.map((level) => `<option${level === now ? " selected" : ""}>${level}</option>`).join("");
    return `<tr><td><label for="${name}">${name}</label><td><select id="${name}">${options}</select><td>${description}`;
  });
  return PAGE.replace("ROWS", rows.join("\n")).replaceAll("VERSION", VERSION);
}

const PAGE = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Causeway VERSION ControlZ</title>
<style>:root { color-scheme: light dark; font-family: sans-serif } td { padding: 0 1em 0 0 }</style>
<h1>Causeway VERSION</h1>
<h2>Log levels</h2>
<p id="said" role="status">A change holds at once, until the next start.</p>
<table>
ROWS
</table>
<script>
document.querySelector("table").addEventListener("change", async ({ target }) => {
  const body = JSON.stringify({ output_level: target.value });
  const answer = await fetch("/scopej/" + target.id, { method: "PUT", body });
  document.querySelector("#said").textContent = await answer.text();
});
</script>
</html>
`;
