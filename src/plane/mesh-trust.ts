import { openedCertificate } from "../ca/path.ts";
import { OidcAuthenticators } from "../ca/oidc-authenticator.ts";
import type { TrustBundle } from "../ca/signer.ts";
import { distinctRoots, TrustBundles } from "../ca/trust-bundles.ts";
import type { Config } from "../config.ts";
import { messageOf } from "../errors.ts";
import type { Host, Logger } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { type CaCertificate, whyTrustedByNobody } from "../registry/kube/ca-certificates.ts";
import type { EffectiveMesh } from "../registry/kube/effective-mesh.ts";
import type { HeldBundles } from "../spire/bundles.ts";
import type { TrustAnchors } from "../trust.ts";

/** What the mesh config says of identities. */
export type MeshIdentities = Pick<EffectiveMesh, "trustDomainAliases" | "caCertificates" | "jwtRules">;

/** The source of what SPIRE says. */
const SPIRE = "spire";

/** Whom we and our workloads believe, besides the API servers: our authority, SPIRE, and whom the mesh config names. */
export class MeshTrust {
  readonly bundles: TrustBundles;
  readonly oidc: OidcAuthenticators;
  readonly #config: Config;
  readonly #log: Logger;
  readonly #aliases = new Set<string>();
  /** What SPIRE says; undefined until it is known, and where SPIRE does not sign. */
  #spire: HeldBundles | undefined;
  /** Until another root is believed, or our authority has others. */
  #forWorkloads: { readonly ownRoots: readonly Uint8Array[]; readonly bundle: TrustBundle } | undefined;

  constructor(host: Host, config: Config, localCluster: ClusterId) {
    const { trustDomain } = config;
    this.#config = config;
    this.#log = host.log.scope("ca");
    this.bundles = new TrustBundles(trustDomain);
    this.bundles.observe(() => (this.#forWorkloads = undefined));
    this.oidc = new OidcAuthenticators(host, { trustDomain, localCluster });
    this.oidc.setRules(config.jwtRules);
  }

  /** Other names of our trust domain, now. */
  get aliases(): ReadonlySet<string> {
    return this.#aliases;
  }

  /**
   * What is told to those who are to verify us and our workloads, in DER, each once. Undefined while SPIRE signs for them and what verifies
   * that is not known: to tell less than before would take trust away on no evidence.
   */
  get published(): readonly Uint8Array[] | undefined {
    const { ownRoots } = this.bundles;
    const { server, agentSocket } = this.#config.spire;
    const knowable = server !== undefined || agentSocket !== undefined;
    if (!this.#signedElsewhere || !knowable) return ownRoots;
    const roots = this.#spire?.own?.roots;
    return roots && distinctRoots([...ownRoots, ...roots]);
  }

  /** All that vouches for our own trust domain here, whoever named it: what others are told. Undefined as `published`. */
  get ownBundle(): readonly Uint8Array[] | undefined {
    return this.published && this.bundles.rootsOf(this.#config.trustDomain);
  }

  /** What SPIRE says of its own trust domain, which is ours, and of those that it is federated with, from now on. */
  noteSpire(held: HeldBundles): void {
    this.#spire = held;
    this.#offerSpire();
  }

  /**
   * Whether we know a trust domain because SPIRE is federated with it, and for no other reason: whose workloads ours may
   * talk to is not yet who may read the mesh.
   */
  isFederatedOnly(trustDomain: string): boolean {
    return trustDomain !== this.#config.trustDomain && this.bundles.isOnlyFrom(SPIRE, trustDomain);
  }

  /** From now on. */
  note({ trustDomainAliases, caCertificates, jwtRules }: MeshIdentities): void {
    const { trustDomain, jwtRules: rules } = this.#config;
    this.#aliases.clear();
    for (const alias of trustDomainAliases) if (alias !== trustDomain) this.#aliases.add(alias);
    this.bundles.offer(
      "mesh-config",
      [...this.#aliases].map(ofOwnRoots).concat(caCertificates.flatMap((named) => this.#anchorsOf(named))),
    );
    this.#offerSpire();
    // As everywhere, a variable wins over the mesh config.
    this.oidc.setRules([...rules, ...jwtRules]);
  }

  /**
   * What workloads get as roots with each certificate. ztunnels keep them in one pool, so a root of another trust domain
   * may vouch for ours there: they get it only if the operator has said so twice, here and in ISTIO_MULTIROOT_MESH.
   */
  get forWorkloads(): TrustBundle {
    const { ownRoots } = this.bundles;
    if (this.#forWorkloads?.ownRoots !== ownRoots)
      this.#forWorkloads = { ownRoots, bundle: this.#bundleForWorkloads(ownRoots) };
    return this.#forWorkloads.bundle;
  }

  #bundleForWorkloads(ownRoots: readonly Uint8Array[]): TrustBundle {
    const { trustDomain, multiRootMesh } = this.#config;
    const signers = this.#signedElsewhere ? this.#rootsOfSpire() : ownRoots;
    const roots = multiRootMesh ? distinctRoots([...signers, ...this.bundles.offeredRoots]) : signers;
    return { trustDomain, roots };
  }

  /** Whom SPIRE is federated with its operator has said. The roots of our own authority are none of these. */
  #rootsOfSpire(): readonly Uint8Array[] {
    const roots = this.#spire?.own?.roots ?? [];
    return distinctRoots([roots, ...this.#federated.map((bundle) => bundle.roots)].flat());
  }

  /** An alias is our own trust domain by another name, whose callers are ours: who is federated under it is somebody else. */
  get #federated(): readonly TrustBundle[] {
    return this.#spire?.federated.filter(({ trustDomain }) => !this.#aliases.has(trustDomain)) ?? [];
  }

  #offerSpire(): void {
    if (this.#spire === undefined) return;
    const { own, federated } = this.#spire;
    this.#forWorkloads = undefined;
    this.bundles.offer(SPIRE, [...(own === undefined ? [] : [own]), ...this.#federated]);
    for (const { trustDomain } of federated)
      if (this.#aliases.has(trustDomain))
        this.#log.error(
          "SPIRE is federated with a trust domain that trustDomainAliases calls our own, so its roots are not believed; " +
            "take the alias away, or name the roots in caCertificates if they are ours",
          { trustDomain },
        );
  }

  get #signedElsewhere(): boolean {
    return this.#config.spire.identity !== "mesh";
  }

  #anchorsOf(certificate: CaCertificate): readonly TrustAnchors[] {
    if (whyTrustedByNobody(certificate) !== undefined) return [];
    const roots = certificate.roots.filter((root) => this.#canBeRead(root));
    return certificate.trustDomains.map((trustDomain) => ({ trustDomain, roots }));
  }

  /** OpenSSL, which has read it, takes more than RFC 5280 allows. */
  #canBeRead(root: Uint8Array): boolean {
    try {
      openedCertificate(root);
      return true;
    } catch (thrown) {
      this.#log.error("a root in caCertificates is trusted by nobody, as it cannot be read", {
        why: messageOf(thrown),
      });
      return false;
    }
  }
}

const ofOwnRoots = (trustDomain: string): TrustAnchors => ({ trustDomain, roots: "own" });
