import { join } from "node:path";
import type { Authenticator, Caller } from "../caller.ts";
import type { Authority } from "../ca/authority.ts";
import { Authenticators } from "../ca/authenticators.ts";
import type { RevocationList } from "../ca/crl.ts";
import type { IssuanceLog } from "../ca/issuance-log.ts";
import { PeerTrust, type Trusted } from "../ca/peer-trust.ts";
import { toPem } from "../ca/pem.ts";
import { certificateService } from "../ca/service.ts";
import type { SignerDescription } from "../ca/signer.ts";
import { type ServingCertificateMaterial, ServingCertificates, servingNames } from "../ca/serving-certificate.ts";
import { startSigningThread } from "../ca/start-signing-thread.ts";
import { ThreadedSigner } from "../ca/threaded-signer.ts";
import type { Config } from "../config.ts";
import { messageOf } from "../errors.ts";
import type { UnaryMethod } from "../grpc/method.ts";
import { GrpcServer, type ServingCertificate } from "../grpc/server.ts";
import type { Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import type { PeerAdmission } from "../peering/admission.ts";
import { LivePods } from "../registry/live-pods.ts";
import type { Registry } from "../registry/registry.ts";
import type { ServiceAccountId } from "../spiffe.ts";
import { writeWhole } from "../whole-file.ts";
import type { GatewayGate } from "../xds/gateway-gate.ts";
import type { XdsServer } from "../xds/server.ts";
import type { Clusters } from "./clusters.ts";
import type { MeshTrust } from "./mesh-trust.ts";

/** Calls that are under way when we stop get this long. */
const DRAIN_MS = 2_000;
const NOTHING_TRUSTED: Trusted = { chain: [], roots: [], revocations: [] };

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
  #signer: ThreadedSigner | undefined;
  /** What verifies our clients. */
  #trusted = NOTHING_TRUSTED;
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
  /** Who signs; undefined until there is an authority. */
  get signer(): SignerDescription | undefined {
    return this.#signer?.describe();
  }
  /** The lists of revoked certificates that are in force. */
  get revocations(): readonly RevocationList[] {
    return this.#trusted.revocations;
  }
  /** PEM of what verifies us and every workload. */
  get rootCertificateFile(): string {
    return join(this.#config.stateDir, "root-cert.pem");
  }

  /** Undefined if certificates can be had. */
  whyNotSigning(): string | undefined {
    if (this.#signer === undefined) return "nothing is signed yet";
    return this.#signer.expiresAt <= this.#host.clock.now() ? "the signing certificate has ended; renew it" : undefined;
  }

  /** Resolves once all ports are open. @throws MeshError for a key or a port that cannot be used, naming it. */
  async start(authority: Authority): Promise<void> {
    const { trust, discovery, peers, gateways } = this.#parts;
    await this.#writeRoots(authority);
    this.#publish(authority);
    const signer = new ThreadedSigner(this.#host, authority, this.#config.trustDomain, startSigningThread);
    this.#closing.push(() => signer.close());
    this.#signer = signer;
    trust.bundles.setOwn(authority.roots, authority.revocations);
    const authenticator = this.#authenticators();
    const admission = { authenticator, whyNot: (caller: Caller) => this.#whyNot(caller), peers, gateways };
    const methods = [...discovery.methods(admission), this.#certificateService(authenticator, signer)];
    // What we show, and what we verify clients by, is of the same authority.
    const shown = (material: ServingCertificateMaterial): ServingCertificate => {
      const { pooledRoots: roots } = trust.bundles;
      return { ...material, clientRoots: pemOf(roots), clientTrust: new PeerTrust({ ...this.#trusted, roots }) };
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

  /** Has this authority sign, and verify clients, from now on; streams that it does not bear end. */
  async follow(changed: Authority): Promise<void> {
    try {
      await this.#writeRoots(changed);
    } catch (thrown) {
      // What is revoked, and who signs, must not hang on a disk that is full: the file is for clients on this machine.
      const why = messageOf(thrown);
      this.#host.log.scope("ca").error("clients on this machine are not told of the authority's roots", { why });
    }
    this.#publish(changed);
    this.#signer?.rotate(changed);
    this.#parts.trust.bundles.setOwn(changed.roots, changed.revocations);
    this.#certificate?.rotate(changed);
  }

  /** Stops serving; idempotent. */
  async close(): Promise<void> {
    for (const close of this.#closing.splice(0).reverse()) await close();
  }

  #writeRoots({ roots }: Authority): Promise<void> {
    return writeWhole(this.rootCertificateFile, pemOf(roots));
  }

  #publish(authority: Authority): void {
    this.#trusted = authority;
    const lists = this.revocations.map(({ der }) => toPem("X509 CRL", der)).join("");
    this.#parts.clusters.publishTrust(pemOf(authority.roots), lists);
  }

  async #startPlaintext(address: string, port: number): Promise<void> {
    const methods = this.#parts.discovery.methods(undefined);
    const server = new GrpcServer(this.#host, { name: "xds-plaintext", methods, certificate: undefined });
    this.#closing.push(() => server.close(DRAIN_MS));
    this.#ports = { ...this.#ports, xdsPlaintext: (await server.listen({ address, port })).port };
    this.#host.log.scope("ads").warn("anyone who reaches the plaintext port reads the whole mesh", { address, port });
  }

  #certificateService(authenticator: Authenticator, signer: ThreadedSigner): UnaryMethod {
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
