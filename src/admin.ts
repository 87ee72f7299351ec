import type { DebugPages } from "./debug-page.ts";
import { MeshError, messageOf } from "./errors.ts";
import { EventLoopWatch } from "./event-loop-watch.ts";
import { listenError } from "./grpc/listen-error.ts";
import type { Clock, Logger } from "./host.ts";
import { type EndpointAnswer, type EndpointRequest, HttpEndpoint, jsonAnswer, textAnswer } from "./http-endpoint.ts";
import { jsonSlices } from "./json-slices.ts";
import type { LogScopes } from "./log.ts";
import { answerScopes } from "./log-scope-api.ts";
import type { PrometheusMetrics } from "./prometheus.ts";
import { pageFile } from "./topology/page-files.ts";
import { VERSION } from "./version.ts";

/** One thing that must be so before clients are sent here. */
export interface ReadinessCheck {
  /** As `listeners`; one word. */
  readonly name: string;
  /** Why we are not ready; undefined if we are. */
  check(): string | undefined;
}

export interface AdminOptions {
  /** An IP address of this machine. */
  readonly address: string;
  /** 0 for any that is free. */
  readonly healthPort: number;
  readonly adminPort: number;
  /** Asked at each probe: there are others while we start. */
  readonly checks: () => readonly ReadinessCheck[];
  /** @throws MeshError `unavailable` while there is nothing to show. */
  readonly pages: () => DebugPages;
  /** Whether there is a mesh to show to people, at /topology; by default there is not. */
  readonly topology?: boolean;
}

/** What the admin ports show of the host. */
export interface AdminHost {
  readonly clock: Clock;
  readonly log: LogScopes;
  readonly metrics: PrometheusMetrics;
}

/** Health on one port, for probes; metrics, version, debug pages and log levels on another. ⇄ */
export class AdminServer {
  readonly #host: AdminHost;
  readonly #options: AdminOptions;
  readonly #log: Logger;
  readonly #health: HttpEndpoint;
  readonly #admin: HttpEndpoint;
  #watch: EventLoopWatch | undefined;

  constructor(host: AdminHost, options: AdminOptions) {
    this.#host = host;
    this.#options = options;
    this.#log = host.log.scope("admin");
    this.#health = new HttpEndpoint(host.clock, this.#log, (request) => this.#answerHealth(request));
    this.#admin = new HttpEndpoint(host.clock, this.#log, (request) => this.#answerAdmin(request));
  }

  /** The port that it has, once started. */
  get healthPort(): number {
    return this.#health.port;
  }
  get adminPort(): number {
    return this.#admin.port;
  }

  /** @throws MeshError `unavailable` if a port cannot be had; neither is open then. */
  async start(): Promise<void> {
    const { address, healthPort, adminPort } = this.#options;
    try {
      await listen("the health server (--health-port)", this.#health, address, healthPort);
      await listen("the admin server (--admin-port)", this.#admin, address, adminPort);
    } catch (error) {
      await this.close();
      throw error;
    }
    this.#watch = new EventLoopWatch(this.#host.clock, this.#log);
  }

  async close(): Promise<void> {
    this.#watch?.[Symbol.dispose]();
    await Promise.all([this.#health.close(), this.#admin.close()]);
  }

  #answerHealth({ method, path, query }: EndpointRequest): EndpointAnswer {
    onlyGet(method);
    if (path === "/livez") {
      const dead = this.#watch?.whyDead();
      return textAnswer(dead === undefined ? 200 : 503, dead ?? "ok");
    }
    if (path !== "/ready" && path !== "/readyz")
      throw new MeshError("absent", "here are /ready, /livez and /readyz?verbose; the rest is on the admin port");
    const results = this.#options.checks().map((check) => ({ name: check.name, reason: reasonOf(check) }));
    const failed = results.filter(({ reason }) => reason !== undefined);
    const shown = query.has("verbose") ? results : failed;
    const lines = shown.map(({ name, reason }) => (reason === undefined ? `[+]${name} ok` : `[-]${name} ${reason}`));
    return textAnswer(
      failed.length === 0 ? 200 : 503,
      [...lines, failed.length === 0 ? "ready" : "not ready"].join("\n"),
    );
  }

  async #answerAdmin(request: EndpointRequest): Promise<EndpointAnswer> {
    const { path, method } = request;
    const [, area, name = "", ...rest] = path.split("/");
    if (area === "scopej" && rest.length === 0) {
      onlyLocal(request.local, "log levels are for operators");
      return answerScopes(this.#host.log, this.#log, request, name);
    }
    onlyGet(method);
    if (path === "/metrics")
      return { status: 200, contentType: this.#host.metrics.contentType, body: await this.#host.metrics.text() };
    if (path === "/version") return jsonAnswer(200, jsonSlices(versionView()));
    if (area === "debug" && rest.length === 0) return this.#answerDebug(request, name);
    if (area === "topology" && this.#options.topology === true) return answerTopology(request);
    throw new MeshError("absent", "there is nothing here; see /debug, /metrics, /version and /scopej");
  }

  #answerDebug({ local, query }: EndpointRequest, name: string): EndpointAnswer {
    onlyLocal(local, "debug pages show the whole mesh");
    const pages = this.#options.pages();
    if (name !== "") return jsonAnswer(200, pages.slices(name, query));
    return { status: 200, contentType: "text/html; charset=utf-8", body: indexPage(pages, this.#options.topology) };
  }
}

/** Its scripts ask the debug pages, so it is for the same callers. */
function answerTopology({ local, path }: EndpointRequest): EndpointAnswer {
  onlyLocal(local, "this page shows the whole mesh");
  return { status: 200, ...pageFile(path) };
}

/** istioctl reads the inner object, in istiod's names; it ends in a panic where JSON has none. */
const versionView = () => ({
  component: "causeway",
  version: VERSION,
  tag: VERSION,
  node: process.version,
  clientVersion: { version: VERSION, revision: "", golang_version: "", status: "", tag: VERSION },
});

async function listen(what: string, endpoint: HttpEndpoint, address: string, port: number): Promise<void> {
  try {
    await endpoint.listen(address, port);
  } catch (thrown) {
    throw thrown instanceof Error ? listenError(what, { address, port }, thrown) : thrown;
  }
}

function onlyGet(method: string): void {
  if (method !== "GET") throw new MeshError("unsupported", "this can only be read: use GET");
}

function onlyLocal(local: boolean, why: string): void {
  if (local) return;
  throw new MeshError(
    "denied",
    `${why}, and callers from other machines are not authenticated here: ` +
      "call 127.0.0.1 from the pod itself or through kubectl port-forward, or use istioctl, which asks over xDS",
  );
}

/** A check that fails to answer is not passed. */
function reasonOf(check: ReadinessCheck): string | undefined {
  try {
    return check.check();
  } catch (thrown) {
    return `could not be checked: ${messageOf(thrown)}`;
  }
}

function indexPage(pages: DebugPages, topology = false): string {
  const first = topology ? '<p><a href="/topology">Topology of the mesh</a></p>\n' : "";
  const rows = pages.list().map(({ href, name, help }) => `<tr><td><a href="${href}">${name}</a><td>${escaped(help)}`);
  return `<!doctype html><title>Causeway ${VERSION}</title><h1>Debug pages</h1>\n${first}<table>\n${rows.join("\n")}\n</table>\n`;
}

const escaped = (text: string): string => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
