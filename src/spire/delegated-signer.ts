import type { ClusterId } from "../names.ts";
import { type Csr, readCsr } from "../ca/csr.ts";
import { requireOnlyName } from "../ca/csr-names.ts";
import { keyTypeOf } from "../ca/key-type.ts";
import { lintForeignSvid } from "../ca/lint.ts";
import type {
  Bearer,
  CsrOrder,
  IssuedSvid,
  Signer,
  SignerDescription,
  SigningRequest,
  SvidChain,
  TrustBundle,
} from "../ca/signer.ts";
import { MeshError } from "../errors.ts";
import type { EpochMs, Host, Logger } from "../host.ts";
import type { Collection } from "../registry/collection/collection.ts";
import { formatServiceAccountId } from "../spiffe.ts";
import { type Claim, vouchers } from "./entries.ts";
import { IssuingCas } from "./issuing-cas.ts";
import { Registrations } from "./registrations.ts";
import type { MintedSvid, SpireEntry, SpireServer } from "./spire.ts";
import { SvidLife } from "./svid-life.ts";

export interface DelegatedSignerOptions {
  readonly server: SpireServer;
  readonly trustDomain: string;
  /** What the attestor k8s_psat calls our cluster; others are called as here. */
  readonly cluster: string;
  readonly localCluster: ClusterId;
  /** Of SPIRE's own bundle, in DER; none until it is known. */
  readonly roots: () => readonly Uint8Array[];
  readonly bundles: Collection<string, TrustBundle>;
}

/**
 * Has SPIRE decide and sign. Its server would sign for an administrator whatever the request says, so entries are held
 * against the bearer here: no entry, no certificate. What comes back is looked at as if a stranger had made it, and
 * there is no other issuer to fall back to (contract identity.md 1.4).
 */
export class DelegatedSigner implements Signer {
  readonly #host: Host;
  readonly #log: Logger;
  readonly #options: DelegatedSignerOptions;
  readonly #registrations: Registrations;
  readonly #issuers = new IssuingCas();
  readonly #life: SvidLife;

  constructor(host: Host, options: DelegatedSignerOptions) {
    this.#host = host;
    this.#log = host.log.scope("spire");
    this.#options = options;
    this.#life = new SvidLife(host);
    this.#registrations = new Registrations(options.server, host.clock, options.trustDomain);
  }

  get bundles(): Collection<string, TrustBundle> {
    return this.#options.bundles;
  }

  /** Not ours to know: SPIRE renews its authorities, and each leaf is held against its own. */
  get expiresAt(): EpochMs {
    return Infinity;
  }

  describe(): SignerDescription {
    const { trustDomain, roots } = this.#options;
    this.#issuers.trust(roots());
    const last = this.#issuers.last;
    return {
      kind: "SPIRE",
      key: last && keyTypeOf(last.lint.issuerKey),
      trustDomain,
      notAfter: last?.notAfter,
      chain: last?.between ?? [],
      roots: roots(),
    };
  }

  async issue({ identity, csr, ttlSeconds, bearer }: CsrOrder, signal: AbortSignal): Promise<IssuedSvid> {
    const { trustDomain, server } = this.#options;
    const uri = formatServiceAccountId(identity);
    if (identity.trustDomain !== trustDomain)
      throw new MeshError("denied", `${uri} is not of trust domain ${trustDomain}, which SPIRE's server signs for`);
    const { whole, publicKey } = await readCsr(csr, (read: Csr) => requireOnlyName(read, uri));
    signal.throwIfAborted();
    const entries = await this.#vouchers(uri, bearer);
    signal.throwIfAborted();
    const mint = (seconds: number): Promise<MintedSvid> => server.mint(whole, seconds, signal);
    const { minted, secondsMax } = await spires(this.#life.minted(entries, ttlSeconds, mint));
    return {
      chain: this.#checked(minted, { identity, publicKey, ttlSeconds: secondsMax }),
      entries: entries.map(({ id }) => id),
    };
  }

  /** What is known refuses nobody before SPIRE was asked again. */
  async #vouchers(identity: string, bearer: Bearer | undefined): Promise<readonly SpireEntry[]> {
    const claim = this.#claim(identity, bearer);
    try {
      return vouchers(claim, await spires(this.#registrations.of(identity, "usual")));
    } catch (thrown) {
      if (MeshError.from(thrown).code !== "denied") throw thrown;
    }
    return vouchers(claim, await spires(this.#registrations.of(identity, "now")));
  }

  #claim(identity: string, bearer: Bearer | undefined): Claim {
    if (bearer === undefined) {
      const told = "its token is bound to no live pod, which a registration entry of SPIRE's could hold for";
      throw new MeshError("denied", `${identity} was asked for, but ${told}`, { told });
    }
    const { cluster, localCluster } = this.#options;
    const ours = bearer.cluster === localCluster;
    if (!ours && bearer.cluster === cluster)
      throw new MeshError(
        "denied",
        `its pods are in cluster ${bearer.cluster}, and so does SPIRE call our own, ${localCluster}: its nodes cannot be told from ours`,
      );
    return { identity, bearer, cluster: ours ? cluster : bearer.cluster, now: this.#host.clock.now() };
  }

  #checked({ chain }: MintedSvid, request: SigningRequest): SvidChain {
    const { trustDomain, roots } = this.#options;
    const anchors = roots();
    if (anchors.length === 0) throw new MeshError("unavailable", "SPIRE's own bundle is not known yet");
    this.#issuers.trust(anchors);
    const issuer = this.#issuers.of(chain);
    const now = this.#host.clock.now();
    const leaf = lintForeignSvid(chain[0]!, { ...issuer.lint, request, trustDomain, now });
    if (!issuer.proven) {
      this.#issuers.prove(issuer, chain, now);
      this.#log.info("SPIRE signs with an authority that was not known before, and its first certificate is good", {
        key: keyTypeOf(issuer.lint.issuerKey),
        until: new Date(issuer.notAfter).toISOString(),
      });
    }
    return [leaf, ...issuer.between];
  }
}

/**
 * A server that refuses us says nothing of who asks: that is for us to mend, and they may ask again.
 * @throws MeshError `unavailable` for what its own would take for the caller's fault.
 */
async function spires<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (thrown) {
    const { code, message } = MeshError.from(thrown);
    if (code === "unavailable" || code === "timeout" || code === "exhausted") throw thrown;
    throw new MeshError("unavailable", message, {}, { cause: thrown });
  }
}
