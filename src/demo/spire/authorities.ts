import { type IssuingKey, keyIdOf, serialFrom } from "../../ca/certificate.ts";
import { makeKeyPair } from "../../ca/key-type.ts";
import type { Maker } from "../../ca/intermediate.ts";
import { ownCertificate } from "../../ca/own-certificate.ts";
import type { EpochMs } from "../../host.ts";
import { authoritySubject, downstreamSubject } from "./svid-certificate.ts";

/** SPIRE's own: a clock that is 10 s behind may still use what was made just now. */
export const BACKDATE_MS = 10_000;

/** One that signs, and how a client gets from it to a root. */
export interface SpireAuthority extends IssuingKey {
  /** In DER. */
  readonly certificate: Uint8Array;
  readonly notAfter: EpochMs;
  /** In DER: what follows a leaf in its chain, up to but without the root; empty if the authority is a root itself. */
  readonly chain: readonly Uint8Array[];
  /** In DER. */
  readonly root: Uint8Array;
}

export interface AuthorityShape {
  readonly trustDomain: string;
  readonly ttlSeconds: number;
  /**
   * Path lengths of the authorities above SPIRE's own, root first, undefined for any number; none if SPIRE's own is a
   * root, as without an UpstreamAuthority.
   */
  readonly above: readonly (number | undefined)[];
}

/** A root, or one below `parent` that ends with it at the latest. */
export async function newSpireAuthority(
  maker: Maker,
  { trustDomain, ttlSeconds }: Pick<AuthorityShape, "trustDomain" | "ttlSeconds">,
  parent: SpireAuthority | undefined,
  pathLength: number | undefined,
): Promise<SpireAuthority> {
  const keys = await makeKeyPair("ec-p256");
  const publicKey = keys.publicKey.export({ type: "spki", format: "der" });
  const serial = serialFrom(maker.random.bytes(16));
  const own = { subject: authoritySubject(serial), keyId: keyIdOf(publicKey), privateKey: keys.privateKey };
  const notAfter = endOf(maker.clock.now() + ttlSeconds * 1000, parent);
  const certificate = ownCertificate(
    {
      serial,
      notBefore: maker.clock.now() - BACKDATE_MS,
      notAfter,
      subject: own.subject,
      publicKey,
      purpose: "authority",
      ...(pathLength !== undefined && { pathLength }),
      names: { uris: [`spiffe://${trustDomain}`] },
    },
    parent ?? own,
    parent?.notAfter,
  );
  const chain = parent === undefined ? [] : [certificate, ...parent.chain];
  return { ...own, certificate, notAfter, chain, root: parent?.root ?? certificate };
}

/** One for whoever has the other half of `publicKey`: as its parent in all, but for its key and its name. @returns DER. */
export function downstreamCertificate(
  maker: Maker,
  trustDomain: string,
  parent: SpireAuthority,
  publicKey: Uint8Array,
  ttlSeconds: number,
): Uint8Array {
  return ownCertificate(
    {
      serial: serialFrom(maker.random.bytes(16)),
      notBefore: maker.clock.now() - BACKDATE_MS,
      notAfter: endOf(maker.clock.now() + ttlSeconds * 1000, parent),
      subject: downstreamSubject(parent.subject, Math.max(1, parent.chain.length)),
      publicKey,
      purpose: "authority",
      names: { uris: [`spiffe://${trustDomain}`] },
    },
    parent,
    parent.notAfter,
  );
}

const endOf = (wanted: EpochMs, parent: Pick<SpireAuthority, "notAfter"> | undefined): EpochMs =>
  Math.floor(Math.min(wanted, parent?.notAfter ?? Infinity) / 1000) * 1000;
