import { EMPTY_NAME, type IssuingKey, serialFrom } from "../ca/certificate.ts";
import { readCertificate } from "../ca/certificate-fields.ts";
import { parseCsr } from "../ca/csr.ts";
import { BACKDATED_MS } from "../ca/intermediate.ts";
import { DAY_MS } from "../ca/new-authority.ts";
import { ownCertificate } from "../ca/own-certificate.ts";
import { newRoot, renewalIsDue, renewedRoot } from "../ca/own-root.ts";
import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs, Host } from "../host.ts";
import type { ClusterId } from "../names.ts";
import { toPem } from "../pem.ts";
import type { ClientCredentials, Fingerprint } from "./messages.ts";
import { clusterIdentity, RELAY_TRUST_DOMAIN } from "./relay-identity.ts";
import { fingerprintOf, readRelayRoot, type RelayRoot, relayRoot, relayRootDocument } from "./relay-root.ts";

/** Of a cluster's client certificate, which it renews at half of that. */
const CLIENT_LIFE_MS = 30 * DAY_MS;

/** Where the relay's authority is kept: one document. */
export interface AuthorityDocument {
  /** As `Secret gloo-mesh/relay-tls-signing-secret`, for messages. */
  readonly title: string;
  /** @throws MeshError `unavailable` */
  read(): Promise<{ readonly data: ReadonlyMap<string, string>; readonly version: string } | undefined>;
  /** @param version of what was read; undefined if nothing was. @throws MeshError `conflict` if somebody was faster. */
  write(data: ReadonlyMap<string, string>, version: string | undefined): Promise<string>;
}

/**
 * The relay's own authority: it vouches for the manager and for clusters among themselves, and for no workload. It lives
 * for ten years; in the last two it is renewed with its key, so that whoever knows the old one knows the new one.
 */
export class RelayAuthority {
  readonly #host: Host;
  readonly #kept: AuthorityDocument;
  #root: RelayRoot;

  private constructor(host: Host, kept: AuthorityDocument, root: RelayRoot) {
    this.#host = host;
    this.#kept = kept;
    this.#root = root;
  }

  /**
   * What is kept, or a new one that is kept from now on. What is there and cannot be used is never replaced.
   * @throws MeshError `invalid`, naming the document and the fix, or as `kept` throws.
   */
  static async open(host: Host, kept: AuthorityDocument): Promise<RelayAuthority> {
    const found = (await readKept(host, kept))?.root;
    const authority = new RelayAuthority(host, kept, found ?? (await firstRoot(host, kept)));
    await authority.renewIfDue();
    return authority;
  }

  /** What verifies the manager and its clients, in DER; the one that signs first. */
  get roots(): readonly Uint8Array[] {
    return this.#root.roots;
  }

  /** What a bootstrap token says of it. */
  get rootSha256(): Fingerprint {
    return fingerprintOf(this.#root);
  }

  get issuer(): IssuingKey {
    return this.#root.issuer;
  }

  /** When what it signs ends at the latest. */
  get notAfter(): EpochMs {
    return this.#root.notAfter;
  }

  /**
   * A client certificate for the key of a request, whose names count for nothing.
   * @param issuedAt when it counts from: a moment that is to come if older ones are void until then.
   * @throws MeshError `invalid` for a request that is none, or whose key may not be used.
   */
  async certify(cluster: ClusterId, csr: string, issuedAt: EpochMs): Promise<ClientCredentials> {
    const template = {
      serial: serialFrom(this.#host.random.bytes(16)),
      notBefore: issuedAt - BACKDATED_MS,
      notAfter: Math.min(issuedAt + CLIENT_LIFE_MS, this.notAfter),
      subject: EMPTY_NAME,
      publicKey: await parseCsr(csr),
      purpose: "client" as const,
      names: { uris: [clusterIdentity(cluster)] },
    };
    const leaf = ownCertificate(template, this.issuer, this.notAfter);
    return { chain: [toPem("CERTIFICATE", leaf)], relayRoots: this.roots.map((root) => toPem("CERTIFICATE", root)) };
  }

  /** For one that runs for years. Never rejects: what goes wrong is logged, and tried again when it is next asked. */
  async renewIfDue(): Promise<void> {
    const { clock, log } = this.#host;
    if (!renewalIsDue(this.#root.own.certificate, clock.now())) return;
    try {
      this.#root = await this.#renewed();
      log.scope("trust").info("renewed the relay's own authority", { where: this.#kept.title });
    } catch (thrown) {
      log.scope("trust").error("the relay's own authority was not renewed", { why: messageOf(thrown) });
    }
  }

  async #renewed(): Promise<RelayRoot> {
    const now = this.#host.clock.now();
    const kept = await readKept(this.#host, this.#kept);
    // Another replica may have done it.
    if (kept !== undefined && !renewalIsDue(kept.root.own.certificate, now)) return kept.root;
    const former = this.roots.filter((bytes) => readCertificate(bytes).notAfter > now);
    const next = relayRoot(renewedRoot(this.#host, this.#root.own), former);
    await this.#kept.write(relayRootDocument(next), kept?.version);
    return next;
  }
}

/** When a client certificate counts from, in whole seconds: what is void is told by it. */
export const issuedAtOf = (leaf: Uint8Array): EpochMs => readCertificate(leaf).notBefore + BACKDATED_MS;

async function readKept(
  { clock }: Host,
  kept: AuthorityDocument,
): Promise<{ readonly root: RelayRoot; readonly version: string } | undefined> {
  const found = await kept.read();
  return found && { root: readRelayRoot(kept.title, found.data, clock.now()), version: found.version };
}

async function firstRoot(host: Host, kept: AuthorityDocument): Promise<RelayRoot> {
  const root = relayRoot(newRoot(host, RELAY_TRUST_DOMAIN));
  try {
    await kept.write(relayRootDocument(root), undefined);
  } catch (thrown) {
    // Another replica began at the same time.
    const theirs = MeshError.from(thrown).code === "conflict" ? await readKept(host, kept) : undefined;
    if (theirs === undefined) throw thrown;
    return theirs.root;
  }
  host.log.scope("trust").info("made the relay's own authority", { where: kept.title });
  return root;
}
