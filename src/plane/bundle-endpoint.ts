import { join } from "node:path";
import type { ServingCertificates } from "../ca/serving-certificate.ts";
import type { Config } from "../config.ts";
import { MeshError, messageOf } from "../errors.ts";
import { listenError } from "../grpc/listen-error.ts";
import type { Counter, Host } from "../host.ts";
import { type EndpointAnswer, type EndpointCertificate, type EndpointRequest, HttpEndpoint } from "../http-endpoint.ts";
import type { Problem } from "../registry/model/problem.ts";
import { FollowedCertificate } from "./followed-certificate.ts";
import { type OwnBundle, ServedBundle } from "./served-bundle.ts";

/**
 * Our trust bundle for everybody who asks, over https: by names of the web, with the operator's certificate (https_web), or
 * by our SPIFFE ID, with our own (https_spiffe; contract identity.md 1.6). ⇄
 */
export class BundleEndpoint {
  readonly #host: Host;
  readonly #config: Config;
  readonly #bundle: ServedBundle;
  readonly #requests: Counter;
  readonly #noteProblems: () => void;
  #endpoint: HttpEndpoint | undefined;
  #listening: Promise<void> | undefined;
  /** Why a port that was to open late did not. */
  #whyClosed: string | undefined;
  #followed: FollowedCertificate | undefined;
  #observing: Disposable | undefined;

  /** @param noteProblems called after `problems` may have changed. */
  constructor(host: Host, config: Config, trust: OwnBundle, noteProblems: () => void) {
    this.#host = host;
    this.#config = config;
    this.#noteProblems = noteProblems;
    this.#bundle = new ServedBundle(host, join(config.stateDir, "served-bundle.json"), trust);
    this.#requests = host.metrics.counter("trust_bundle_requests_total", "Requests for our trust bundle.", ["status"]);
  }

  /** The port that it has; undefined while it is closed. */
  get port(): number | undefined {
    return this.#endpoint?.port;
  }

  /**
   * Resolves once it is open, or waits for the operator's certificate.
   * @throws MeshError `unavailable` if the port cannot be had.
   */
  async start(own: ServingCertificates): Promise<void> {
    const { port, certificate } = this.#config.bundles;
    if (port === undefined) return;
    await this.#bundle.open();
    if (certificate === undefined) {
      this.#show(own.current!);
      this.#observing = own.observe((renewed) => this.#show(renewed));
    } else {
      this.#followed = new FollowedCertificate(this.#host, certificate, {
        use: (found) => this.#show(found),
        looked: this.#noteProblems,
      });
      await this.#followed.start();
    }
    await this.#listening;
  }

  problems(): readonly Problem[] {
    const problem = (message: string): Problem => {
      return { object: "Trust bundle endpoint", origin: "", field: "", message, severity: "error" };
    };
    const why = this.#followed?.why;
    const now = this.#endpoint === undefined ? "our trust bundle is not served" : "the one before is shown on";
    const unfit = why && problem(`The certificate of --bundle-cert cannot be used, so ${now}: ${why}.`);
    const closed = this.#whyClosed && problem(`Our trust bundle is not served, as ${this.#whyClosed}.`);
    return [unfit, closed].flatMap((found) => found || []);
  }

  async close(): Promise<void> {
    this.#observing?.[Symbol.dispose]();
    this.#followed?.close();
    await this.#listening?.catch(() => {});
    await this.#endpoint?.close();
    await this.#bundle.close();
  }

  #show(certificate: EndpointCertificate): void {
    if (this.#endpoint !== undefined) return this.#endpoint.setCertificate(certificate);
    const { clock, log } = this.#host;
    const endpoint = new HttpEndpoint(clock, log.scope("spire"), (request) => this.#counted(request), { certificate });
    this.#listening = this.#listen(endpoint);
    this.#listening.catch((thrown: unknown) => {
      this.#whyClosed = messageOf(thrown);
      this.#noteProblems();
    });
  }

  async #listen(endpoint: HttpEndpoint): Promise<void> {
    const { listenAddress: address, bundles } = this.#config;
    const port = bundles.port!;
    try {
      await endpoint.listen(address, port);
      [this.#endpoint, this.#whyClosed] = [endpoint, undefined];
    } catch (thrown) {
      throw thrown instanceof Error ? listenError("the trust bundle endpoint", { address, port }, thrown) : thrown;
    }
  }

  #counted(request: EndpointRequest): EndpointAnswer {
    try {
      const answer = this.#answer(request);
      this.#requests.add(1, { status: String(answer.status) });
      return answer;
    } catch (thrown) {
      this.#requests.add(1, { status: "refused" });
      throw thrown;
    }
  }

  /** As SPIRE: one document, at one path. */
  #answer({ method, path }: EndpointRequest): EndpointAnswer {
    if (path !== "/") throw new MeshError("absent", "here is one document, our trust bundle, at /");
    if (method !== "GET") throw new MeshError("unsupported", `${method} is not for this; use GET`);
    const { text: body } = this.#bundle;
    if (body === undefined) throw new MeshError("unavailable", "our roots are not known yet");
    return { status: 200, contentType: "application/json", body };
  }
}
