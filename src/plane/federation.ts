import { join } from "node:path";
import type { BundleSource } from "../bundle-config.ts";
import type { ServingCertificates } from "../ca/serving-certificate.ts";
import type { Config } from "../config.ts";
import type { Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { Registry } from "../registry/registry.ts";
import { type CaCertificate, whyTrustedByNobody } from "../registry/kube/ca-certificates.ts";
import type { Problem } from "../registry/model/problem.ts";
import { bundleFetch } from "../spire/bundle-fetch.ts";
import { BundleMemory } from "../spire/bundle-memory.ts";
import { BundleReader, type BundleReading } from "../spire/bundle-reader.ts";
import { type BundleAgreement, BundleDrift } from "./bundle-drift.ts";
import { BundleEndpoint } from "./bundle-endpoint.ts";
import type { MeshTrust } from "./mesh-trust.ts";
import type { OwnBundle } from "./served-bundle.ts";

/** The control plane that is federated; not asked before it is whole, but for what peers say. */
export interface FederatedPlane {
  readonly localCluster: ClusterId;
  readonly registry: { readonly peers: Pick<Registry["peers"], "facts"> };
}

/** The bundles of other trust domains that flags and the mesh config name, and our own for others. */
export class Federation {
  readonly #config: Config;
  readonly #memory: BundleMemory;
  readonly #reader: BundleReader;
  readonly #endpoint: BundleEndpoint;
  readonly #drift: BundleDrift;
  #named: readonly BundleSource[] = [];
  #opened = false;
  #first: Promise<void> = Promise.resolve();

  /** @param noteProblems called after `problems` may have changed. */
  constructor(
    host: Host,
    config: Config,
    trust: OwnBundle & Pick<MeshTrust, "forWorkloads">,
    plane: FederatedPlane,
    noteProblems: () => void,
  ) {
    this.#config = config;
    this.#memory = new BundleMemory(host, join(config.stateDir, "trust-bundles.json"));
    const fetch = bundleFetch(host.clock, config.bundles.allowed, trust.bundles);
    this.#reader = new BundleReader(host, {
      fetch,
      trust: trust.bundles,
      memory: this.#memory,
      onFaults: noteProblems,
    });
    this.#endpoint = new BundleEndpoint(host, config, trust, noteProblems);
    const { localCluster, registry } = plane;
    this.#drift = new BundleDrift(host, {
      ...{ trustDomain: config.trustDomain, localCluster, trust, facts: registry.peers.facts },
      onMissing: (trustDomain) => this.#reader.hurry(trustDomain),
      onProblems: noteProblems,
    });
  }

  /** Where our own bundle is served; undefined while it is not. */
  get port(): number | undefined {
    return this.#endpoint.port;
  }

  /** What the mesh config names from now on. */
  note(caCertificates: readonly CaCertificate[]): void {
    this.#named = caCertificates.flatMap(sourceOf);
    if (this.#opened) this.#read();
  }

  /** Resolves once what was read before our last stop is trusted again. */
  async start(): Promise<void> {
    await this.#memory.open();
    this.#opened = true;
    this.#read();
  }

  /**
   * Resolves once each bundle is remembered, or was looked at: whoever gets a certificate before that keeps fewer roots for
   * half of its life. Nobody waits longer than one look takes.
   */
  settled(): Promise<void> {
    return this.#first;
  }

  /** @param certificates our own, which are served with by default. @throws as `BundleEndpoint.start`. */
  serve(certificates: ServingCertificates): Promise<void> {
    return this.#endpoint.start(certificates);
  }

  /** Those of other trust domains, as they are read. */
  get bundles(): readonly BundleReading[] {
    return this.#reader.bundles;
  }

  /** Whether a peer and we mean the same roots; undefined if it does not say. */
  agreement(cluster: ClusterId): BundleAgreement | undefined {
    return this.#drift.of(cluster);
  }

  problems(): readonly Problem[] {
    const read = this.#reader.faults.map(({ url, ...fault }) => ({ ...fault, origin: "", field: url }));
    const own = this.#sources().filter((source) => this.#isOwn(source));
    return [...own.map(ownProblem), ...read, ...this.#endpoint.problems(), ...this.#drift.problems()];
  }

  async close(): Promise<void> {
    this.#drift.close();
    await this.#endpoint.close();
    await this.#reader.close();
  }

  #sources(): readonly BundleSource[] {
    return [...this.#config.bundles.sources, ...this.#named];
  }

  #read(): void {
    const sources = this.#sources().filter((source) => !this.#isOwn(source));
    this.#first = Promise.all([this.#first, this.#reader.read(sources)]).then(() => {});
  }

  /** What we read of ourselves we would serve, and read again: no root would ever go. */
  #isOwn({ trustDomains }: BundleSource): boolean {
    return trustDomains.includes(this.#config.trustDomain);
  }
}

function sourceOf(named: CaCertificate): readonly BundleSource[] {
  const { spiffeBundleUrl: url, trustDomains } = named;
  if (url === undefined || whyTrustedByNobody(named) !== undefined) return [];
  return [{ trustDomains, url, profile: { kind: "https_web" }, rootsFile: undefined }];
}

const ownProblem = ({ trustDomains, url }: BundleSource): Problem => ({
  object: `Trust bundle ${trustDomains.join(" and ")}`,
  origin: "",
  field: url,
  message:
    `The bundle at ${url} is not read, as it is said to be of our own trust domain, whose bundle is what we serve; ` +
    "name another's, or give more roots of ours as pem in caCertificates.",
  severity: "error",
});
