import { join } from "node:path";
import type { Authenticator, Caller } from "../caller.ts";
import type { Authority } from "../ca/authority.ts";
import { Authenticators } from "../ca/authenticators.ts";
import type { RevocationList } from "../ca/crl.ts";
import type { IssuanceLog } from "../ca/issuance-log.ts";
import { PeerTrust } from "../ca/peer-trust.ts";
import { toPem } from "../pem.ts";
import { certificateService } from "../ca/service.ts";
import type { Signer, SignerDescription } from "../ca/signer.ts";
import { type ServingCertificateMaterial, ServingCertificates, servingNames } from "../ca/serving-certificate.ts";
import type { Config } from "../config.ts";
import { messageOf } from "../errors.ts";
import type { UnaryMethod } from "../grpc/method.ts";
import { GrpcServer, type ServingCertificate } from "../grpc/server.ts";
import type { Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { PeerAdmission } from "../peering/admission.ts";
import { LivePods } from "../registry/live-pods.ts";
import type { Problem } from "../registry/model/problem.ts";
import type { Registry } from "../registry/registry.ts";
import type { ServiceAccountId } from "../spiffe.ts";
import { writeWhole } from "../whole-file.ts";
import type { GatewayGate } from "../xds/gateway-gate.ts";
import type { XdsServer } from "../xds/server.ts";
import type { Clusters } from "./clusters.ts";
import type { MeshTrust } from "./mesh-trust.ts";
import type { WorkloadSigner } from "./workload-signer.ts";

/** Calls that are under way when we stop get this long. */
const DRAIN_MS = 2_000;

/** What is served, and whom it is served to. */
export interface ServedParts {
  readonly localCluster: ClusterId;
  /** What peers know us by. */
  readonly identity: ServiceAccountId;
  readonly registry: Registry;
  readonly discovery: XdsServer;
  readonly issuances: IssuanceLog;
  readonly clusters: Clusters;
  readonly trust: MeshTrust;
  readonly peers: PeerAdmission;
  readonly gateways: GatewayGate;
  /** Opens who signs for workloads, once there is an authority of ours. */
  readonly openSigner: (authority: Authority) => WorkloadSigner;
  /** True if every authenticated workload may read the mesh. */
  readonly openToAll: boolean;
}

/** Discovery and certificates on their ports, under an authority that may change while they are served. */
export class PortsServed {
  readonly #host: Host;
  readonly #config: Config;
  readonly #parts: ServedParts;
  readonly #closing: (() => Promise<void> | void)[] = [];
  #ports = { xds: 0, xdsPlaintext: undefined as number | undefined };
  #workloads: WorkloadSigner | undefined;
  #authority: Authority | undefined;
  #writing: Promise<void> = Promise.resolve();
  #certificate: ServingCertificates | undefined;

  constructor(host: Host, config: Config, parts: ServedParts) {
    this.#host = host;
    this.#config = config;
    this.#parts = parts;
  }

  /** Where clients reach us; 0 while a port is not open. */
  get ports(): { readonly xds: number; readonly xdsPlaintext: number | undefined } {
    return this.#ports;
  }
  /** What we serve with, and prove ourselves to peers with; undefined until we serve. */
  get certificate(): ServingCertificates | undefined {
    return this.#certificate;
  }
  /** Who signs for workloads; undefined until there is an authority of ours. */
  get signer(): SignerDescription | undefined {
    return this.#workloads?.signer.describe();
  }
  /** The lists of revoked certificates that are in force. */
  get revocations(): readonly RevocationList[] {
    return this.#authority?.revocations ?? [];
  }
  /** PEM of what verifies us, and every workload once that is known. */
  get rootCertificateFile(): string {
    return join(this.#config.stateDir, "root-cert.pem");
  }

  /** Undefined if we can prove who we are. That SPIRE signs for workloads is no condition: discovery goes on without. */
  whyNotSigning(): string | undefined {
    if (this.#authority === undefined) return "nothing is signed yet";
    return this.#authority.notAfter <= this.#host.clock.now()
      ? "the signing certificate has ended; renew it"
      : undefined;
  }

  /** What is wrong with signing for workloads. */
  problems(): readonly Problem[] {
    return this.#workloads?.problems() ?? [];
  }

  /** Resolves once all ports are open. @throws MeshError for a key or a port that cannot be used, naming it. */
  async start(authority: Authority): Promise<void> {
    const { trust, discovery, peers, gateways } = this.#parts;
    this.#adopt(authority);
    await this.#writeRoots();
    const workloads = this.#parts.openSigner(authority);
    this.#closing.push(() => workloads.close());
    this.#workloads = workloads;
    const authenticator = this.#authenticators();
    const admission = { authenticator, whyNot: (caller: Caller) => this.#whyNot(caller), peers, gateways };
    const methods = [...discovery.methods(admission), this.#certificateService(authenticator, workloads.signer)];
    // What we show, and what we verify clients by, is of the same authority.
    const shown = (material: ServingCertificateMaterial): ServingCertificate => {
      const { pooledRoots: roots } = trust.bundles;
      return { ...material, clientRoots: pemOf(roots), clientTrust: new PeerTrust({ ...this.#authority!, roots }) };
    };
    const certificates = this.#certificates(authority);
    this.#closing.push(() => certificates.close());
    this.#certificate = certificates;
    let material = certificates.start((renewed) => server.setCertificate(shown((material = renewed))));
    const server = new GrpcServer(this.#host, { name: "xds", methods, certificate: shown(material) });
    const following = trust.bundles.observe(() => server.setCertificate(shown(material)));
    const { listenAddress: address, ports } = this.#config;
    this.#closing.push(
      () => following[Symbol.dispose](),
      () => server.close(DRAIN_MS),
    );
    this.#ports = { ...this.#ports, xds: (await server.listen({ address, port: ports.xds })).port };
    if (ports.xdsPlaintext !== undefined) await this.#startPlaintext(address, ports.xdsPlaintext);
    this.#closing.push(() => discovery.close());
  }

  /** Has this authority prove us, and sign if it is it that does, from now on; streams that it does not bear end. */
  async follow(changed: Authority): Promise<void> {
    this.#adopt(changed);
    await this.#tellRoots();
    this.#workloads?.follow(changed);
    this.#certificate?.rotate(changed);
  }

  /** SPIRE's bundles are others, and `trust` knows them. */
  async spireChanged(): Promise<void> {
    if (this.#authority === undefined) return;
    this.#publish();
    this.#workloads?.bundlesChanged();
    await this.#tellRoots();
  }

  /** Stops serving; idempotent. */
  async close(): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close();
  }

  #adopt(authority: Authority): void {
    this.#authority = authority;
    this.#parts.trust.bundles.setOwn(authority.roots, authority.revocations);
    this.#publish();
  }

  #publish(): void {
    const lists = this.revocations.map(({ der }) => toPem("X509 CRL", der)).join("");
    this.#parts.clusters.publishTrust(pemOf(this.#parts.trust.published ?? []), lists);
  }

  /** For clients on this machine. What is revoked, and who signs, must not hang on a disk that is full. */
  #tellRoots(): Promise<void> {
    this.#writing = this.#writing
      .then(() => this.#writeRoots())
      .catch((thrown: unknown) =>
        this.#host.log
          .scope("ca")
          .error("clients on this machine are not told of the authority's roots", { why: messageOf(thrown) }),
      );
    return this.#writing;
  }

  #writeRoots(): Promise<void> {
    const { published, bundles } = this.#parts.trust;
    return writeWhole(this.rootCertificateFile, pemOf(published ?? bundles.ownRoots));
  }

  async #startPlaintext(address: string, port: number): Promise<void> {
    const methods = this.#parts.discovery.methods(undefined);
    const server = new GrpcServer(this.#host, { name: "xds-plaintext", methods, certificate: undefined });
    this.#closing.push(() => server.close(DRAIN_MS));
    this.#ports = { ...this.#ports, xdsPlaintext: (await server.listen({ address, port })).port };
    this.#host.log.scope("ads").warn("anyone who reaches the plaintext port reads the whole mesh", { address, port });
  }

  #certificateService(authenticator: Authenticator, signer: Signer): UnaryMethod {
    const { trust, registry, issuances } = this.#parts;
    const { trustDomain, trustedNodeAccounts } = this.#config;
    const rules = { trustDomain, aliases: trust.aliases, trustedNodeAccounts, pods: new LivePods(registry) };
    const trusted = () => trust.forWorkloads;
    return certificateService(this.#host, { authenticator, rules, signer, trusted, issuances });
  }

  #certificates(authority: Authority): ServingCertificates {
    const { systemNamespace, revision, clusterDomain, listenAddress, servingNames: more } = this.#config;
    const own = listenAddress === "0.0.0.0" || listenAddress === "::" ? [] : [listenAddress];
    const names = [...servingNames(systemNamespace, revision, clusterDomain), ...own, ...more];
    return new ServingCertificates(this.#host, authority, [...new Set(names)], this.#parts.identity);
  }

  #authenticators(): Authenticators {
    const { clusters, trust, localCluster } = this.#parts;
    const { bundles, aliases, oidc } = trust;
    const { clock } = this.#host;
    const { trustDomain } = this.#config;
    return new Authenticators({
      ...{ clock, tokens: clusters.tokens, localCluster, trustDomain },
      ...{ trust: bundles, aliases, oidc },
    });
  }

  /** The mesh is for those who carry its traffic (contract operations.md 4.3). */
  #whyNot({ identity }: Caller): string | undefined {
    const { trustedNodeAccounts } = this.#config;
    const account = `${identity.namespace}/${identity.serviceAccount}`;
    if (this.#parts.openToAll || trustedNodeAccounts.has(account)) return undefined;
    return `only ${[...trustedNodeAccounts].join(", ")} may; name it in --trusted-node-accounts if it is a ztunnel's`;
  }
}

const pemOf = (certificates: readonly Uint8Array[]): string =>
  certificates.map((bytes) => toPem("CERTIFICATE", bytes)).join("");
