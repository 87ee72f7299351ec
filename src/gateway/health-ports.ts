import { listenError } from "../grpc/listen-error.ts";
import type { Host } from "../host.ts";
import { type EndpointRequest, type EndpointAnswer, HttpEndpoint, textAnswer } from "../http-endpoint.ts";
import type { PrometheusMetrics } from "../prometheus.ts";

export interface HealthPortsOptions {
  readonly address: string;
  /** 0 for any that is free. */
  readonly readyPort: number;
  readonly metricsPort: number;
  /** Why no traffic should come; undefined if it may. */
  readonly whyNotReady: () => Promise<string | undefined>;
  /** Why Envoy cannot be started yet; undefined once its bootstrap is there. */
  readonly whyNotStarted: () => string | undefined;
  /** Of /drain/<key>, as every pod can reach our own; undefined if nobody may ask for that. */
  readonly drainKey: string | undefined;
  /** Resolves once callers have gone, or the time for that is over. */
  readonly drain: () => Promise<void>;
}

/** The longest `--drain`, and more: its answer comes when it is done. */
const DRAIN_MS_MAX = 3_660_000;

/** What probes ask, on a port that Services expose; on another, which none does, what our own pod and Prometheus ask. ⇄ */
export class HealthPorts {
  readonly #options: HealthPortsOptions;
  readonly #metrics: PrometheusMetrics;
  readonly #ready: HttpEndpoint;
  readonly #own: HttpEndpoint;

  constructor(host: Host & { readonly metrics: PrometheusMetrics }, options: HealthPortsOptions) {
    const log = host.log.scope("gateway");
    this.#options = options;
    this.#metrics = host.metrics;
    this.#ready = new HttpEndpoint(host.clock, log, (request) => this.#answerProbe(request));
    this.#own = new HttpEndpoint(host.clock, log, (request) => this.#answerOwn(request), {
      idleMsMax: DRAIN_MS_MAX,
    });
  }

  get readyPort(): number {
    return this.#ready.port;
  }
  get metricsPort(): number {
    return this.#own.port;
  }

  /** @throws MeshError `unavailable` if a port cannot be had. */
  async listen(): Promise<void> {
    const { address, readyPort, metricsPort } = this.#options;
    await listen("readiness", this.#ready, address, readyPort);
    await listen("metrics", this.#own, address, metricsPort);
  }

  async close(): Promise<void> {
    await Promise.all([this.#ready.close(), this.#own.close()]);
  }

  async #answerProbe({ path }: EndpointRequest): Promise<EndpointAnswer> {
    if (path === "/healthz/live") return textAnswer(200, "live");
    if (path === "/healthz/startup") return verdict(this.#options.whyNotStarted());
    if (path === "/healthz/ready") return verdict(await this.#options.whyNotReady());
    return textAnswer(404, "there are /healthz/ready, /healthz/live and /healthz/startup");
  }

  /** For the preStop hook of an Envoy in another container, which ends as soon as it is told to. */
  async #drain(): Promise<EndpointAnswer> {
    await this.#options.drain();
    return textAnswer(200, "drained");
  }

  async #answerOwn({ path }: EndpointRequest): Promise<EndpointAnswer> {
    const { drainKey } = this.#options;
    if (drainKey !== undefined && path === `/drain/${drainKey}`) return this.#drain();
    if (path !== "/metrics" && path !== "/stats/prometheus") return textAnswer(404, "there is /metrics");
    return { status: 200, contentType: this.#metrics.contentType, body: await this.#metrics.text() };
  }
}

const verdict = (why: string | undefined): EndpointAnswer =>
  why === undefined ? textAnswer(200, "ready") : textAnswer(503, `not ready: ${why}`);

async function listen(what: string, endpoint: HttpEndpoint, address: string, port: number): Promise<void> {
  await endpoint.listen(address, port).catch((thrown: unknown) => {
    throw listenError(what, { address, port }, thrown as Error);
  });
}
